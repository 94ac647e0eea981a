//! Checks that involve several keys of `[edge]`.

use super::Edge;
use crate::document::{Reason, Section};

impl Edge {
    /// Checks them all.
    pub(in crate::settings) fn check(&self, section: &Section<'_>) {
        self.check_bodies(section);
        if self.http.port() != 0 && self.https == Some(self.http) {
            section.fault(
                "https",
                Reason::Excludes {
                    other: "the same edge.http",
                    remedy: "write another port, such as 8443",
                },
            );
        }
        self.check_tls(section);
        self.paths
            .check(&self.path_prefix, &section.section("paths"));
    }

    fn check_bodies(&self, section: &Section<'_>) {
        if self.buffered_bytes_max < self.body_bytes_max.saturating_mul(2) {
            section.fault(
                "buffered_bytes_max",
                Reason::Needs {
                    needs: "to hold the largest body twice, as sent and as inflated",
                    remedy: "raise it to twice edge.body_bytes_max or more",
                },
            );
        }
        if self.event_bytes_max > self.body_bytes_max {
            section.fault(
                "event_bytes_max",
                Reason::Needs {
                    needs: "edge.body_bytes_max to be at least as large",
                    remedy: "raise edge.body_bytes_max or lower this",
                },
            );
        }
    }

    /// What ACME needs, and keys that have no effect without a TLS listener.
    fn check_tls(&self, section: &Section<'_>) {
        let tls = section.section("tls");
        let acme = tls.section("acme");
        let has_domains = !self.tls.acme.domains.is_empty();
        if has_domains && !self.tls.acme.terms_agreed {
            acme.fault(
                "domains",
                Reason::Needs {
                    needs: "edge.tls.acme.terms_agreed",
                    remedy: "read the authority's terms of service, then add terms_agreed = true",
                },
            );
        }
        // An address that cannot be read is an address all the same.
        if self.https.is_some() || section.get("https").is_some() {
            return;
        }
        let needless = Reason::Needs {
            needs: "edge.https",
            remedy: "add https = \"0.0.0.0:8443\" to [edge], or remove this",
        };
        if self.tls.pair.is_some() {
            tls.fault("cert", needless.clone());
        } else if !self.tls.certificates.is_empty() {
            tls.fault("certificates", needless.clone());
        }
        if has_domains {
            acme.fault("domains", needless.clone());
        }
        if self.proxy_protocol.https {
            section.fault("proxy_protocol", needless);
        }
    }
}
