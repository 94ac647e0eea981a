//! The demo's pages: plain files put together once, at start.

use std::net::SocketAddr;

use bytes::Bytes;
use serde_json::json;

use crate::catalog::Catalog;

/// A file and its content type.
pub(crate) type Page = (&'static str, Bytes);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

const ART: [(&str, &str); 3] = [
    ("lantern", include_str!("pages/lantern.svg")),
    ("oilskin", include_str!("pages/oilskin.svg")),
    ("kettle", include_str!("pages/kettle.svg")),
];

struct Product {
    id: &'static str,
    name: &'static str,
    price: &'static str,
    text: &'static str,
}

const PRODUCTS: [Product; 3] = [
    Product {
        id: "lantern",
        name: "Storm lantern",
        price: "64",
        text: "Brass, a glass that can be replaced, and a flame that no gust has put out yet.",
    },
    Product {
        id: "oilskin",
        name: "Oilskin coat",
        price: "189",
        text: "Waxed cotton, long enough to sit on, pockets that drain.",
    },
    Product {
        id: "kettle",
        name: "Deck kettle",
        price: "48",
        text: "A wide foot, a low spout, and room for a watch of five.",
    },
];

/// Every page, ready to send.
#[derive(Debug)]
pub(crate) struct Pages {
    files: Vec<(String, Page)>,
}

impl Pages {
    /// For a gateway at this address with this catalog.
    pub(crate) fn new(gateway: SocketAddr, catalog: &Catalog) -> Self {
        let gateway = format!("http://{gateway}");
        let layout = include_str!("pages/layout.html").replace("{{gateway}}", &gateway);
        let shop = |title: &str, main: &str| {
            let page = layout.replace("{{title}}", title).replace("{{main}}", main);
            (HTML, Bytes::from(page))
        };
        let mut home = include_str!("pages/home.html").to_owned();
        for (id, art) in ART {
            home = home.replace(&format!("{{{{art-{id}}}}}"), art);
        }
        let live = include_str!("pages/live.html").replace("{{setup}}", &setup(&gateway, catalog));
        let mut files = vec![
            ("/".to_owned(), shop("Made for wet weather", &home)),
            (
                "/pricing".to_owned(),
                shop("Membership", include_str!("pages/pricing.html")),
            ),
            (
                "/cart".to_owned(),
                shop("Your cart", include_str!("pages/cart.html")),
            ),
            (
                "/checkout".to_owned(),
                shop("Check out", include_str!("pages/checkout.html")),
            ),
            ("/live".to_owned(), (HTML, Bytes::from(live))),
            (
                "/shop.css".to_owned(),
                (CSS, Bytes::from_static(include_bytes!("pages/shop.css"))),
            ),
            (
                "/shop.js".to_owned(),
                (JS, Bytes::from_static(include_bytes!("pages/shop.js"))),
            ),
            (
                "/live.css".to_owned(),
                (CSS, Bytes::from_static(include_bytes!("pages/live.css"))),
            ),
            (
                "/live.js".to_owned(),
                (JS, Bytes::from_static(include_bytes!("pages/live.js"))),
            ),
        ];
        for (product, (_, art)) in PRODUCTS.iter().zip(ART) {
            let page = shop(product.name, &product.html(art));
            files.push((format!("/product/{}", product.id), page));
        }
        Self { files }
    }

    /// The file at this path.
    pub(crate) fn get(&self, path: &str) -> Option<Page> {
        let path = if path == "/" {
            path
        } else {
            path.trim_end_matches('/')
        };
        let found = self.files.iter().find(|(name, _)| name == path);
        found.map(|(_, (kind, bytes))| (*kind, bytes.clone()))
    }
}

impl Product {
    fn html(&self, art: &str) -> String {
        include_str!("pages/product.html")
            .replace("{{art}}", art)
            .replace("{{id}}", self.id)
            .replace("{{name}}", self.name)
            .replace("{{price}}", self.price)
            .replace("{{text}}", self.text)
    }
}

/// What the live page has to know, as JSON that may stand inside a `<script>`.
fn setup(gateway: &str, catalog: &Catalog) -> String {
    let segments: Vec<_> = catalog
        .segments
        .iter()
        .map(|segment| json!({ "name": segment.name, "when": segment.when }))
        .collect();
    json!({
        "gateway": gateway,
        "segments": segments,
        "destination": catalog.destinations.first().map(|destination| &destination.name),
    })
    .to_string()
    .replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::cast;

    fn pages() -> Pages {
        let ads = "127.0.0.1:8091".parse().unwrap();
        let catalog = cast::catalog("http://127.0.0.1:8090", ads, "whsec_c2VjcmV0");
        Pages::new("127.0.0.1:8080".parse().unwrap(), &catalog)
    }

    fn text(page: &Page) -> String {
        String::from_utf8(page.1.to_vec()).unwrap()
    }

    #[test]
    fn every_page_of_the_shop_has_the_tag_once_and_no_hole_left() {
        let pages = pages();
        let shop = pages
            .files
            .iter()
            .filter(|(path, (kind, _))| *kind == HTML && path != "/live");
        let mut seen = 0;
        for (path, page) in shop {
            let html = text(page);
            let tag = r#"<script async src="http://127.0.0.1:8080/tag.js" data-key="demo""#;
            assert_eq!(html.matches(tag).count(), 1, "{path}");
            assert!(!html.contains("{{"), "{path}");
            seen += 1;
        }
        assert_eq!(seen, 7);
    }

    #[test]
    fn every_link_inside_the_shop_leads_to_a_page() {
        let pages = pages();
        for (path, page) in &pages.files {
            let html = text(page);
            let links = html
                .split(" href=\"/")
                .skip(1)
                .chain(html.split(" src=\"/").skip(1));
            for link in links {
                let link = format!("/{}", link.split_once('"').unwrap().0);
                assert!(pages.get(&link).is_some(), "{path} -> {link}");
            }
        }
    }

    #[test]
    fn the_live_page_names_every_segment_and_cannot_be_broken_out_of() {
        let mut catalog = cast::catalog("x", "127.0.0.1:1".parse().unwrap(), "whsec_c2VjcmV0");
        catalog.segments[0].when = "</script><script>alert(1)".to_owned();
        let pages = Pages::new("127.0.0.1:8080".parse().unwrap(), &catalog);
        let html = text(&pages.get("/live").unwrap());
        assert!(!html.contains("</script><script>alert"));
        for segment in &catalog.segments {
            assert!(
                html.contains(&format!("\"{}\"", segment.name)),
                "{}",
                segment.name
            );
        }
        assert!(!html.contains("whsec_"), "no secret on a page");
    }

    #[test]
    fn a_trailing_slash_is_the_same_page_and_an_unknown_one_is_none() {
        let pages = pages();
        assert!(pages.get("/pricing/").is_some());
        assert!(pages.get("/nope").is_none());
    }
}
