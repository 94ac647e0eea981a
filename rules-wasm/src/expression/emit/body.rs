//! One WASM function under construction: instructions, locals, blocks and where unknown leads to.

use wasm_encoder::{BlockType, Function, InstructionSink, MemArg, MemArgTarget, ValType};

/// The memory that holds the record.
pub(super) const RECORD: u32 = 0;
/// The module's own memory: verdicts, hits, long literals.
pub(super) const OUT: u32 = 1;

/// A block that can be left by a branch: its depth.
#[derive(Clone, Copy)]
pub(super) struct Label(u32);

/// A function's code, written front to back.
pub(super) struct Body {
    code: Vec<u8>,
    depth: u32,
    params: u32,
    locals: Vec<ValType>,
    unknown: Vec<Label>,
    free: Vec<u32>,
}

impl Body {
    pub(super) const fn new(params: u32) -> Self {
        Self {
            code: Vec::new(),
            depth: 0,
            params,
            locals: Vec::new(),
            unknown: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Appends plain instructions; blocks go through [`Self::block`] and its kin.
    pub(super) fn op(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.code)
    }

    pub(super) fn local(&mut self, ty: ValType) -> u32 {
        self.locals.push(ty);
        self.params + u32::try_from(self.locals.len()).expect("locals are bounded by nodes") - 1
    }

    /// An i32 local for as long as `with` runs.
    pub(super) fn borrow_local(&mut self, with: impl FnOnce(&mut Self, u32)) {
        let local = self.free.pop().unwrap_or_else(|| self.local(ValType::I32));
        with(self, local);
        self.free.push(local);
    }

    pub(super) fn block(&mut self, ty: BlockType, with: impl FnOnce(&mut Self, Label)) {
        self.op().block(ty);
        self.nested(with);
    }

    pub(super) fn repeat(&mut self, with: impl FnOnce(&mut Self, Label)) {
        self.op().loop_(BlockType::Empty);
        self.nested(with);
    }

    /// Runs `yes` where the i32 on the stack is not 0.
    pub(super) fn when(&mut self, yes: impl FnOnce(&mut Self)) {
        self.op().if_(BlockType::Empty);
        self.nested(|body, _| yes(body));
    }

    /// Runs `yes` where the i32 on the stack is not 0, else `no`; both leave a value of this type.
    /// What both need to change is handed through.
    pub(super) fn either<C: ?Sized>(
        &mut self,
        ty: ValType,
        shared: &mut C,
        yes: impl FnOnce(&mut C, &mut Self),
        no: impl FnOnce(&mut C, &mut Self),
    ) {
        self.op().if_(BlockType::Result(ty));
        self.depth += 1;
        yes(shared, self);
        self.op().else_();
        no(shared, self);
        self.depth -= 1;
        self.op().end();
    }

    fn nested(&mut self, with: impl FnOnce(&mut Self, Label)) {
        let label = Label(self.depth);
        self.depth += 1;
        with(self, label);
        self.depth -= 1;
        self.op().end();
    }

    pub(super) fn branch(&mut self, to: Label) {
        let levels = self.depth - to.0 - 1;
        self.op().br(levels);
    }

    pub(super) fn branch_if(&mut self, to: Label) {
        let levels = self.depth - to.0 - 1;
        self.op().br_if(levels);
    }

    /// Leaves the innermost strict value as unknown where the i32 on the stack is not 0.
    pub(super) fn unknown_if(&mut self) {
        let to = *self
            .unknown
            .last()
            .expect("values are only read within a strict block");
        self.branch_if(to);
    }

    /// A block that a value within leaves when it is unknown.
    pub(super) fn unless_unknown(&mut self, with: impl FnOnce(&mut Self)) {
        self.block(BlockType::Empty, |body, label| {
            body.unknown.push(label);
            with(body);
            body.unknown.pop();
        });
    }

    /// A yes or no that is unknown as soon as a value in it is; `with` leaves an i32.
    pub(super) fn strict(&mut self, with: impl FnOnce(&mut Self)) {
        self.block(BlockType::Result(ValType::I32), |body, done| {
            body.unless_unknown(|body| {
                with(body);
                body.branch(done);
            });
            body.op().i32_const(super::UNKNOWN);
        });
    }

    pub(super) fn finish(mut self) -> Function {
        self.op().end();
        let mut function = Function::new_with_locals_types(self.locals);
        function.raw(self.code);
        function
    }
}

/// A place in a memory; `align` is the exponent of two of what is known about it.
pub(super) fn at(memory: u32, offset: usize, align: u32) -> MemArg {
    MemArg {
        offset: u64::try_from(offset).expect("offsets fit a memory"),
        align,
        target: MemArgTarget::Memory(memory),
        ordering: None,
    }
}
