//! Puts one module together.

use std::ops::Range;

use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, ImportSection, MemorySection, MemoryType, Module, TypeSection, ValType,
};

use super::body::{Body, OUT, at};
use super::subroutine::Subroutines;
use super::{Emitter, Literals, Piece, conditions};
use crate::abi::{CONDITIONS, EVAL_ALL, HIT_BYTES, OUT_MEMORY, RECORD_MEMORY};
use crate::expression::Chunk;
use crate::expression::check::AggregateTable;
use crate::expression::planning::Layout;

const PAGE_BYTES: usize = 65_536;
const STAGE: (&[ValType], &[ValType]) = (&[ValType::I32, ValType::I32], &[ValType::I64]);
/// Parameters of a stage: where the record begins, and its bytes.
const STAGE_PARAMS: u32 = 2;

/// Compiles these segments and the aggregates that appear in them first.
pub(super) fn module(
    segments: Range<usize>,
    pieces: &[Piece<'_>],
    table: &AggregateTable,
    layout: &Layout,
) -> Chunk {
    let pieces = &pieces[segments.clone()];
    let aggregates: Vec<usize> = pieces
        .iter()
        .flat_map(|piece| piece.aggregates.clone())
        .collect();
    let hits_at = pieces.len().next_multiple_of(HIT_BYTES);
    // At most two hits per aggregate: an event may be A and B.
    let begin = hits_at + aggregates.len() * 2 * HIT_BYTES;
    let mut subroutines = Subroutines::default();
    let mut literals = Literals {
        begin,
        bytes: Vec::new(),
    };
    let stages = [
        stage_1(
            &aggregates,
            hits_at,
            table,
            layout,
            &mut subroutines,
            &mut literals,
        ),
        stage_2(pieces, layout, &mut subroutines, &mut literals),
    ];
    let memory_bytes = (begin + literals.bytes.len()).next_multiple_of(PAGE_BYTES);
    let wasm = assemble(&stages, subroutines, &literals, memory_bytes / PAGE_BYTES);
    Chunk {
        wasm,
        segments,
        conditions: aggregates.len(),
        hits_at,
        memory_bytes,
    }
}

fn stage_1(
    aggregates: &[usize],
    hits_at: usize,
    table: &AggregateTable,
    layout: &Layout,
    subroutines: &mut Subroutines,
    literals: &mut Literals,
) -> Function {
    let mut body = Body::new(STAGE_PARAMS);
    let mut emitter = Emitter::new(layout, subroutines, literals, &mut body);
    let hit = emitter.scratch.hit;
    let begin = i32::try_from(hits_at).expect("verdicts are bounded by the chunk");
    body.op().i32_const(begin).local_set(hit);
    let declared = || {
        aggregates
            .iter()
            .map(|appeared| (*appeared, &table.entries()[*appeared].1))
    };
    emitter.hoist(
        &mut body,
        declared().flat_map(|(_, aggregate)| conditions(aggregate)),
    );
    for (appeared, aggregate) in declared() {
        emitter.hits(&mut body, layout.aggregate(appeared), aggregate);
    }
    body.op()
        .local_get(hit)
        .i32_const(begin)
        .i32_sub()
        .i64_extend_i32_u();
    let bytes = i64::try_from(HIT_BYTES).expect("sixteen");
    body.op().i64_const(bytes).i64_div_u();
    body.finish()
}

fn stage_2(
    pieces: &[Piece<'_>],
    layout: &Layout,
    subroutines: &mut Subroutines,
    literals: &mut Literals,
) -> Function {
    let mut body = Body::new(STAGE_PARAMS);
    let mut emitter = Emitter::new(layout, subroutines, literals, &mut body);
    emitter.hoist(&mut body, pieces.iter().map(|piece| piece.condition));
    for (index, piece) in pieces.iter().enumerate() {
        body.op().i32_const(0);
        emitter.cond(&mut body, piece.condition);
        body.op().i32_store8(at(OUT, index, 0));
    }
    body.op().i64_const(0);
    body.finish()
}

fn assemble(
    stages: &[Function; 2],
    subroutines: Subroutines,
    literals: &Literals,
    out_pages: usize,
) -> Vec<u8> {
    let mut types = TypeSection::new();
    let mut functions = FunctionSection::new();
    let mut code = CodeSection::new();
    let mut signatures = Vec::new();
    let mut add = |(params, results): (&'static [ValType], &'static [ValType]), body: &Function| {
        let known = signatures
            .iter()
            .position(|known| *known == (params, results));
        let index = known.unwrap_or_else(|| {
            types
                .ty()
                .function(params.iter().copied(), results.iter().copied());
            signatures.push((params, results));
            signatures.len() - 1
        });
        functions.function(u32::try_from(index).expect("a few signatures"));
        code.function(body);
    };
    for stage in stages {
        add(STAGE, stage);
    }
    for (subroutine, body) in subroutines.finish() {
        add(subroutine.signature(), &body);
    }
    let mut imports = ImportSection::new();
    imports.import(
        RECORD_MEMORY.0,
        RECORD_MEMORY.1,
        EntityType::Memory(pages(1)),
    );
    let mut memories = MemorySection::new();
    memories.memory(pages(out_pages));
    let mut exports = ExportSection::new();
    exports.export(OUT_MEMORY, ExportKind::Memory, OUT);
    exports.export(CONDITIONS, ExportKind::Func, 0);
    exports.export(EVAL_ALL, ExportKind::Func, 1);
    let mut data = DataSection::new();
    let begin = i32::try_from(literals.begin).expect("hits are bounded by slots");
    data.active(
        OUT,
        &ConstExpr::i32_const(begin),
        literals.bytes.iter().copied(),
    );
    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&memories);
    module.section(&exports).section(&code).section(&data);
    module.finish()
}

fn pages(count: usize) -> MemoryType {
    let count = u64::try_from(count).expect("a few pages");
    MemoryType {
        minimum: count,
        maximum: Some(count),
        memory64: false,
        shared: false,
        page_size_log2: None,
    }
}
