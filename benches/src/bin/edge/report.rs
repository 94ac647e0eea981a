//! What the rounds add up to, as it is printed.

use std::io::Write;

use tidegate_benches::run::Fallible;

use crate::find;
use crate::subject::Subject;

/// One version of HTTP, another, and how often its cost the first may be.
const AIMS: [(&str, &str, f64); 5] = [
    ("h2", "h1", 1.3),
    ("h2-tls", "h1-tls", 1.3),
    ("h1-tls", "h1", 1.3),
    ("h2-tls", "h2", 1.3),
    ("h3", "h1-tls", 3.0),
];

/// The best and all of them.
pub(crate) fn costs(out: &mut impl Write, subjects: &[Subject]) -> Fallible<()> {
    let nginx = find(subjects, "nginx");
    writeln!(out, "\nCPU s per million, best of all rounds")?;
    for subject in subjects {
        let ratio = nginx.map(|nginx| format!("({:.2}x nginx)  ", subject.best() / nginx.best()));
        let costs = subject.measured.cost_us.iter();
        let all: Vec<String> = costs.map(|us| format!("{us:.2}")).collect();
        writeln!(
            out,
            "{:<8} {:7.2}  {}all: {}",
            subject.name,
            subject.best(),
            ratio.unwrap_or_default(),
            all.join(" ")
        )?;
    }
    Ok(())
}

/// The versions of HTTP beside each other.
pub(crate) fn versions(out: &mut impl Write, subjects: &[Subject]) -> Fallible<()> {
    for (name, beside, aim) in AIMS {
        if let (Some(subject), Some(beside)) = (find(subjects, name), find(subjects, beside)) {
            let (name, other) = (subject.name, beside.name);
            let ratio = subject.best() / beside.best();
            writeln!(out, "{name:<8} {ratio:.2}x {other:<6} (aim {aim:.1}x)")?;
        }
    }
    Ok(())
}

/// What the gateways' journals were given.
pub(crate) fn journals(out: &mut impl Write, subjects: &[Subject]) -> Fallible<()> {
    for subject in subjects {
        let journal = subject.measured.journal;
        if subject.target.gateway().is_some() {
            writeln!(
                out,
                "{:<8} {:.0} bytes a record, {:.1} records a batch",
                subject.name,
                journal.bytes / journal.records,
                journal.records / journal.batches
            )?;
        }
    }
    Ok(())
}
