//! Hostile and oversized expressions end in a mistake, within bounds.

use super::support::{mistakes, sources};
use crate::{Engine, Limits, Mistake, RuleError, Ruleset, compile, compile_within};

fn refused(expression: &str) -> Mistake {
    let found = mistakes(expression);
    assert!(!found.is_empty(), "{} bytes were taken", expression.len());
    found.into_iter().next().unwrap().2
}

#[test]
fn a_long_text_is_refused_unread() {
    assert_eq!(refused(&"(".repeat(65_536)), Mistake::TooLong(8_192));
    assert_eq!(
        refused(&format!("true{}", " ".repeat(8_192))),
        Mistake::TooLong(8_192)
    );
}

#[test]
fn deep_nesting_is_refused() {
    for (open, inner, close) in [
        ("(", "true", ")"),
        ("!(", "true", ")"),
        ("size(", "page.path", ")"),
        ("count(", "true", ")"),
        ("true ? true : (", "true", ")"),
        ("-(", "1", ")"),
    ] {
        let text = |levels| format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
        assert_eq!(refused(&text(400)), Mistake::TooDeep(32), "{open}");
        let found = mistakes(&text(12));
        let deep = found
            .iter()
            .any(|(_, _, mistake)| matches!(mistake, Mistake::TooDeep(_)));
        assert!(!deep, "{open}: {found:?}");
    }
}

#[test]
fn long_chains_neither_overflow_the_stack_nor_pass() {
    for (first, link) in [
        ("1", "+1"),
        ("1", "<1"),
        ("1", "*1"),
        ("a", ".a"),
        ("a", "[\"a\"]"),
        ("true", "?true:true"),
    ] {
        let count = (8_000 - first.len()) / link.len();
        let deep = refused(&format!("{first}{}", link.repeat(count)));
        assert_eq!(deep, Mistake::TooDeep(32), "{link}");
    }
    refused(&"!".repeat(8_000));
    refused(&"-".repeat(8_000));
    refused(&"[".repeat(8_000));
    refused(&"{".repeat(8_000));
    refused(&"a(".repeat(4_000));
    refused(&"@".repeat(8_000));
    refused(&"a ".repeat(4_000));
    refused(&"\"".repeat(7_999));
}

#[test]
fn too_many_nodes_are_refused_but_long_chains_of_and_are_fine() {
    let list = format!("page.path in [\"a\"{}]", ",\"a\"".repeat(1_990));
    assert_eq!(refused(&list), Mistake::TooLarge(2_000));
    let chain = format!("device.bot{}", " && device.bot".repeat(500));
    assert_eq!(mistakes(&chain), []);
    let list = format!("page.path in [\"a\"{}]", ",\"a\"".repeat(900));
    assert_eq!(mistakes(&list), []);
}

/// A choice between 2^levels dynamic values.
fn choices(levels: usize) -> String {
    if levels == 0 {
        return "traits.t".to_owned();
    }
    let branch = choices(levels - 1);
    format!("(device.bot ? {branch} : {branch})")
}

#[test]
fn choices_that_multiply_are_refused() {
    let few = format!("{} == {}", choices(3), choices(3));
    assert_eq!(mistakes(&few), []);
    let many = format!("{} == {}", choices(6), choices(6));
    assert_eq!(refused(&many), Mistake::TooLarge(2_000));
}

#[test]
fn a_ruleset_has_bounds_too() {
    let limits = Limits {
        segments_max: 2,
        ..Limits::default()
    };
    let errors = compile_within(&sources(&["true", "true", "false"]), &limits).unwrap_err();
    assert_eq!(errors[0].message, Mistake::TooManySegments(2));
    let limits = Limits {
        ruleset_nodes_max: 10,
        ..Limits::default()
    };
    let many = [
        "page.path == \"a\" && page.url == \"b\"",
        "device.bot && session.engaged",
    ];
    let errors = compile_within(&sources(&many), &limits).unwrap_err();
    assert_eq!(errors[0].message, Mistake::RulesetTooLarge(10));
    let limits = Limits {
        slots_max: 2,
        ..Limits::default()
    };
    let errors = compile_within(&sources(&many), &limits).unwrap_err();
    assert_eq!(errors[0].message, Mistake::TooManySlots(2));
}

#[test]
fn a_module_that_wants_more_memory_than_the_bound_does_not_load() {
    let engine = Engine::new(Limits {
        memory_bytes_max: 1_000,
        ..Limits::default()
    })
    .unwrap();
    let loaded = Ruleset::load(&engine, compile(&sources(&["true"])).unwrap());
    assert!(matches!(
        loaded,
        Err(RuleError::Memory {
            needed: 65_536,
            max: 1_000
        })
    ));
}

#[test]
fn no_segments_at_all_are_fine() {
    let engine = Engine::new(Limits::default()).unwrap();
    let ruleset = Ruleset::load(&engine, compile(&[]).unwrap()).unwrap();
    let mut evaluator = ruleset.evaluator().unwrap();
    assert_eq!(evaluator.conditions().unwrap(), []);
    assert_eq!(evaluator.segments().unwrap(), []);
}
