//! Traps cost one evaluation; records hold what fits.

use super::support::{Value, fill, sources};
use crate::Verdict::{False, True, Unknown};
use crate::{Engine, Evaluator, Limits, Ruleset, TrapCounts, compile_within};

/// One segment that is cheap and one that is dear on long titles, each in a module of its own.
fn evaluator() -> Evaluator {
    let limits = Limits {
        fuel_base: 0,
        fuel_per_rule: 2_000,
        chunk_segments_max: 1,
        ..Limits::default()
    };
    let rules = sources(&[
        "page.path == \"/a\" && count(size(page.title) > 1, \"1h\") >= 0",
        "page.title.contains(\"aab\") || count(page.path == \"/a\", \"1h\") > 5",
    ]);
    let engine = Engine::new(limits.clone()).unwrap();
    Ruleset::load(&engine, compile_within(&rules, &limits).unwrap())
        .unwrap()
        .evaluator()
        .unwrap()
}

fn record(evaluator: &mut Evaluator, title: &str) {
    fill(
        evaluator,
        &[
            ("page.path", Value::text("/a")),
            ("page.title", Value::text(title)),
        ],
    );
    for slot in 0..evaluator.plan().fields.len() {
        if matches!(evaluator.plan().fields[slot], crate::Field::Aggregate(_)) {
            evaluator.record().set_int(slot, 0);
        }
    }
}

#[test]
fn a_trap_costs_one_evaluation_of_one_module() {
    let mut evaluator = evaluator();
    record(&mut evaluator, "a short aab");
    assert_eq!(evaluator.segments().unwrap(), [True, True]);
    let hostile = "a".repeat(8_000);
    for round in 1..=3 {
        record(&mut evaluator, &hostile);
        assert_eq!(
            evaluator.conditions().unwrap().len(),
            1,
            "size() ran out, the other did not"
        );
        assert_eq!(
            evaluator.segments().unwrap(),
            [True, Unknown],
            "the record outlives the trap"
        );
        assert_eq!(
            evaluator.traps(),
            TrapCounts {
                out_of_fuel: 2 * round,
                other: 0
            }
        );
        record(&mut evaluator, "no match");
        assert_eq!(evaluator.conditions().unwrap().len(), 2);
        assert_eq!(evaluator.segments().unwrap(), [True, False]);
    }
}

#[test]
fn with_the_default_fuel_the_longest_strings_pass() {
    let engine = Engine::new(Limits::default()).unwrap();
    let rules = sources(&[
        "page.title.contains(\"xyz\")",
        "size(page.title) > 8000",
        "distinct(page.title, true, \"1h\") > 3",
        "page.title < page.url",
    ]);
    for rule in rules {
        let compiled = compile_within(&[rule], &Limits::default()).unwrap();
        let mut evaluator = Ruleset::load(&engine, compiled)
            .unwrap()
            .evaluator()
            .unwrap();
        let text = Value::Text("a".repeat(8 * 1024));
        fill(
            &mut evaluator,
            &[("page.title", text.clone()), ("page.url", text)],
        );
        evaluator.conditions().unwrap();
        evaluator.segments().unwrap();
        assert_eq!(evaluator.traps(), TrapCounts::default());
    }
}

#[test]
fn a_string_that_does_not_fit_is_absent_and_counted() {
    let fields: Vec<String> = (0..10)
        .map(|index| format!("size(properties.p{index}) > 0"))
        .collect();
    let rules: Vec<&str> = fields.iter().map(String::as_str).collect();
    let mut evaluator = super::support::load(&rules).evaluator().unwrap();
    let record = evaluator.record();
    record.clear();
    record.set_str(0, &"a".repeat(8 * 1024 + 1));
    assert!(!record.is_set(0));
    assert_eq!(record.strings_dropped(), 1);
    let long = "a".repeat(8 * 1024);
    for slot in 0..10 {
        record.set_str(slot, &long);
    }
    assert_eq!(record.strings_dropped(), 4, "seven of 8 KiB fit a page");
    assert!(record.is_set(6) && !record.is_set(7));
    let verdicts = evaluator.segments().unwrap();
    assert_eq!(verdicts[..7], [True; 7]);
    assert_eq!(verdicts[7..], [Unknown; 3]);
    evaluator.record().clear();
    assert_eq!(evaluator.segments().unwrap(), [Unknown; 10]);
}

#[test]
fn slots_that_no_rule_reads_and_odd_numbers_do_no_harm() {
    let mut evaluator = super::support::load(&["properties.x > 0"])
        .evaluator()
        .unwrap();
    let record = evaluator.record();
    record.set_int(99, 1);
    record.set_str(usize::MAX - 1, "x");
    assert!(!record.is_set(99));
    record.set_float(0, f64::NAN);
    assert!(!record.is_set(0));
    record.set_float(0, f64::INFINITY);
    assert_eq!(evaluator.segments().unwrap(), [Unknown]);
}

#[test]
fn evaluators_move_between_threads() {
    let mut evaluator = super::support::load(&["session.engaged"])
        .evaluator()
        .unwrap();
    let verdicts = std::thread::spawn(move || {
        evaluator.record().set_bool(0, true);
        evaluator.segments().unwrap().to_vec()
    });
    assert_eq!(verdicts.join().unwrap(), [True]);
}
