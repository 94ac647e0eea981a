//! The catalog of a gateway that was given none: one source, so that the first hit works.

/// As a file; its origins are those of `tidegate demo`'s shop.
pub const TEXT: &str = r#"[[source]]
name = "demo"
write_key = "demo"
kind = "web"
origins = ["http://127.0.0.1:8090", "http://localhost:8090"]
"#;
