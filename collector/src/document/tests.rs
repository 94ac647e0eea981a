use super::position::{Lines, in_literal, offset_of};
use super::suggest::nearest;
use super::units::{duration_meant, parse_size, size_meant, write_duration, write_size};
use super::{Document, Environment, Reader};

/// Reads `text` with one section `[limits]` of three keys; returns the mistakes as printed.
fn faults(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let document = Document::parse("t.toml", text);
    let environment: Environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let reader = Reader::new(&document, &environment);
    let root = reader.root();
    let limits = root.section("limits");
    let (mut wait, mut room, mut many) = (1u64, 1u64, 1u32);
    limits.duration("wait", &mut wait, 1_000..=60_000);
    limits.size("room", &mut room, 1_024..=1 << 30);
    limits.number("many", &mut many, 1..=10);
    limits.finish();
    root.finish();
    reader.finish().iter().map(ToString::to_string).collect()
}

#[test]
fn a_column_counts_characters_and_a_line_counts_from_one() {
    let text = "a = 1\nb = \"ü\" # x";
    let line_and_column = |text, offset| Lines::of(text).at(text, offset);
    assert_eq!(line_and_column(text, 0), (1, 1));
    assert_eq!(line_and_column(text, 6), (2, 1));
    assert_eq!(line_and_column(text, text.find('#').unwrap()), (2, 9));
    assert_eq!(line_and_column(text, 999), (2, 12));
    assert_eq!(line_and_column("", 5), (1, 1));
}

#[test]
fn each_place_of_a_long_text_is_found() {
    // Three bytes a character, so that most marks fall into one; and a line longer than a mark.
    let text = format!("{}\n", "€".repeat(700)) + &"ab€\n".repeat(900);
    let lines = Lines::of(&text);
    let (mut line, mut column) = (1, 1);
    for (at, char) in text.char_indices() {
        assert_eq!(lines.at(&text, at), (line, column), "byte {at}");
        (line, column) = if char == '\n' {
            (line + 1, 1)
        } else {
            (line, column + 1)
        };
    }
    assert_eq!(lines.at(&text, text.len()), (line, column));
}

#[test]
fn an_offset_in_a_decoded_string_is_found_in_its_literal() {
    for literal in [
        "'say \"x\" ok'",
        "\"say \\\"x\\\" ok\"",
        "'''say \"x\" ok'''",
        "'''\nsay \"x\" ok'''",
        "\"\"\"\nsay \\\n     \\u0022x\\\" ok\"\"\"",
        "\"\"\"say \"x\" \\\n   ok\"\"\"",
    ] {
        let text = format!("key = {literal}");
        let decoded = "say \"x\" ok";
        for needle in ["say", "x", "ok"] {
            let wanted = decoded.find(needle).unwrap();
            let at = in_literal(&text, 6..text.len(), wanted);
            assert!(text[at..].starts_with(needle), "{literal} {needle} {at}");
        }
    }
    assert_eq!(offset_of("ab\ncd", 2, 2), 4);
    assert_eq!(offset_of("ab", 9, 1), 2);
}

#[test]
fn sizes_and_durations_have_one_spelling_and_others_are_told_it() {
    assert_eq!(parse_size("10GiB"), Some(10 << 30));
    assert_eq!(parse_size("0B"), Some(0));
    for bad in [
        "",
        "10",
        "GiB",
        "10GB",
        "1.5GiB",
        "-1B",
        "99999999999999TiB",
    ] {
        assert_eq!(parse_size(bad), None, "{bad}");
    }
    assert_eq!(write_size(10 << 30), "10GiB");
    assert_eq!(write_size(1_500), "1500B");
    assert_eq!(write_duration(86_400_000), "1d");
    assert_eq!(write_duration(0), "0s");
    assert_eq!(size_meant("10gb").as_deref(), Some("10GiB"));
    assert_eq!(size_meant("many"), None);
    assert_eq!(duration_meant("30 minutes").as_deref(), Some("30m"));
}

#[test]
fn a_slip_is_told_the_word_and_a_stranger_is_not() {
    let known = ["disk_budget", "retention", "segment_bytes"];
    assert_eq!(nearest("disk-budget", known), Some("disk_budget"));
    assert_eq!(nearest("retnetion", known), Some("retention"));
    assert_eq!(nearest("colour", known), None);
}

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_remedy() {
    let text = "[limits]\nwiat = \"3s\"\nroom = \"2kb\"\n  many = 11\nwait = 5\n[limit]\n";
    assert_eq!(
        faults(text, &[]),
        [
            "t.toml:2:1: limits.wiat: unknown key; did you mean \"wait\"?",
            "t.toml:3:8: limits.room: \"2kb\" is not a size; write \"2KiB\" (a whole number and B, \
             KiB, MiB, GiB or TiB)",
            "t.toml:4:10: limits.many: 11 is out of range; write a value from 1 to 10",
            "t.toml:5:8: limits.wait: \"5\" is not a length of time; write \"1s\" (a whole number \
             and ms, s, m, h or d)",
            "t.toml:6:2: limit: unknown key; did you mean \"limits\"?",
        ]
    );
}

#[test]
fn a_broken_line_does_not_hide_the_mistakes_after_it() {
    let told = faults("[limits]\nwait = 30m\nroom = = 3\nmany = \"4\"\n", &[]);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("t.toml:2:"), "{told:#?}");
    assert!(
        told[0].ends_with("texts stand in quotes: write \"30m\""),
        "{told:#?}"
    );
    assert!(told[1].starts_with("t.toml:3:8: not TOML"), "{told:#?}");
    assert_eq!(
        told[2],
        "t.toml:4:8: limits.many: expected a whole number, found a text; write it without quotes"
    );
}

#[test]
fn quotes_that_would_mend_a_line_are_written_out() {
    for (line, hint) in [
        (
            r#"wait = "count(page.path == "/x") > 2""#,
            Some(r#"stands in single quotes: write 'count(page.path == "/x") > 2'"#),
        ),
        (
            r#"wait = count(page.path == "/x") > 2"#,
            Some(r#"texts stand in quotes: write 'count(page.path == "/x") > 2'"#),
        ),
        (r#"wait = "never closed"#, None),
        (r#"wait = ["a" "b"]"#, None),
        (r#"wait = "it's "odd"""#, None),
    ] {
        let told = faults(&format!("[limits]\n{line}\n"), &[]);
        assert_eq!(told.len(), 1, "{line}: {told:#?}");
        assert!(told[0].starts_with("t.toml:2:"), "{told:#?}");
        match hint {
            Some(hint) => assert!(told[0].ends_with(hint), "{told:#?}"),
            None => assert!(!told[0].contains("quotes: write"), "{told:#?}"),
        }
    }
}

#[test]
fn a_broken_header_does_not_blame_the_keys_below_it() {
    let told = faults("[limits\nwait = \"3s\"\n", &[]);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].starts_with("t.toml:1:8: not TOML"), "{told:#?}");
}

#[test]
fn a_variable_overrides_a_key_and_is_checked_as_one() {
    let text = "[limits]\nmany = 99\n";
    assert!(faults(text, &[("TIDEGATE__LIMITS__MANY", "3")]).is_empty());
    assert_eq!(
        faults(
            "",
            &[
                ("TIDEGATE__LIMITS__MANY", "many"),
                ("TIDEGATE__LIMITS__WIAT", "3s"),
                ("TIDEGATE_LOG", "debug"),
            ]
        ),
        [
            "environment TIDEGATE__LIMITS__MANY: limits.many: expected a whole number, found a \
             text; write it without quotes",
            "environment TIDEGATE__LIMITS__WIAT: no setting has this name; did you mean \
             \"TIDEGATE__LIMITS__WAIT\"?",
        ]
    );
}

#[test]
fn a_table_where_a_value_belongs_is_a_mistake_not_a_crash() {
    let told = faults("limits = 3\n", &[]);
    assert_eq!(
        told,
        [
            "t.toml:1:10: limits: expected a table, found a whole number; write it as a section of \
             its own, in [brackets]"
        ]
    );
    assert_eq!(faults("[[limits]]\n", &[]).len(), 1);
    assert_eq!(faults("[limits.wait]\nx = 1\n", &[]).len(), 1);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\[\\]a-z=\"'#\n{}., 0-9\\\\]{0,120}") {
        let _ = faults(&text, &[]);
    }
}
