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

/// The versions of HTTP beside each other: the best of all rounds by the best, and the median of
/// the rounds' own ratios, which a host that is slow for a while does not move.
pub(crate) fn versions(out: &mut impl Write, subjects: &[Subject]) -> Fallible<()> {
    for (name, beside, aim) in AIMS {
        if let (Some(subject), Some(beside)) = (find(subjects, name), find(subjects, beside)) {
            let best = subject.best() / beside.best();
            let costs = subject.measured.cost_us.iter();
            let mut rounds: Vec<f64> = costs
                .zip(&beside.measured.cost_us)
                .map(|(cost, beside)| cost / beside)
                .collect();
            rounds.sort_unstable_by(f64::total_cmp);
            let median = rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN);
            writeln!(
                out,
                "{:<8} {best:.2}x {:<6} (aim {aim:.1}x), median of rounds {median:.2}x",
                subject.name, beside.name
            )?;
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
