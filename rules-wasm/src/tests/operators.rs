//! Every operator and function, on values, on mismatches and on nothing.

use super::support::{Value, check};
use crate::Verdict::{False, True, Unknown};

#[test]
fn the_example_of_the_documentation_decides() {
    let values = |path, views| {
        [
            ("page.path", Value::text(path)),
            ("session.page_views", Value::Int(views)),
            ("geo.country", Value::text("CA")),
        ]
    };
    let when = r#"page.path.startsWith("/pricing") && session.page_views >= 3 && geo.country in ["US","CA"]"#;
    check(&values("/pricing/pro", 3), &[(when, True)]);
    check(&values("/pricing/pro", 2), &[(when, False)]);
    check(&values("/about", 9), &[(when, False)]);
    check(&values("/pricing", 9)[..2], &[(when, Unknown)]);
}
