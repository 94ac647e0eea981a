//! Sets the demo up: ports, a directory, a secret, and who listens where.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::ad_server::AdServer;
use super::cast;
use super::feed::Feed;
use super::pages::Pages;
use super::serve::serve;
use super::shop::Shop;
use super::signature::Verifier;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::settings::Settings;

/// Options of `tidegate demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Port of the shop and of the live page; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 8090)]
    pub shop_port: u16,
    /// Port of the stub ad server; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 8091)]
    pub ad_server_port: u16,
    /// Port of the gateway; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub gateway_port: u16,
    /// Port of the gateway's admin listener; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 9180)]
    pub admin_port: u16,
    /// Keep journal and profiles here; without it they are deleted at the end
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Why the demo cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Something listens there already.
    #[error(
        "port {port} of the {who} is not free: {source}; pick another with --{who}-port PORT, or 0 for a free one"
    )]
    Port {
        /// Option without its `-port`.
        who: &'static str,
        /// The one asked for.
        port: u16,
        /// What the system says.
        source: std::io::Error,
    },
    /// No place for the journal.
    #[error("no directory for the demo's data: {0}; name one with --data-dir DIR")]
    Directory(std::io::Error),
}

/// Everything of the demo but the gateway itself.
#[derive(Debug)]
pub(crate) struct Stage {
    shop: TcpListener,
    ads: TcpListener,
    data_dir: PathBuf,
    /// Deletes a directory of our own when the demo ends.
    temporary: Option<TempDir>,
    secret: String,
    shop_addr: SocketAddr,
    ads_addr: SocketAddr,
    feed: Arc<Feed>,
    gateway_port: u16,
    admin_port: u16,
}

impl Stage {
    /// Takes the ports and makes the directory.
    pub(crate) async fn set(options: &Options) -> Result<Self, StageError> {
        let (shop, shop_addr) = bind("shop", options.shop_port).await?;
        let (ads, ads_addr) = bind("ad-server", options.ad_server_port).await?;
        let temporary = match options.data_dir {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("tidegate-demo-")
                    .tempdir()
                    .map_err(StageError::Directory)?,
            ),
        };
        let own = temporary.as_ref().map(TempDir::path);
        let data_dir = options
            .data_dir
            .as_deref()
            .or(own)
            .unwrap_or(Path::new("."));
        Ok(Self {
            data_dir: data_dir.to_owned(),
            shop,
            ads,
            temporary,
            secret: format!(
                "whsec_{}",
                STANDARD.encode(StdRng::from_os_rng().random::<[u8; 32]>())
            ),
            shop_addr,
            ads_addr,
            feed: Arc::new(Feed::new()),
            gateway_port: options.gateway_port,
            admin_port: options.admin_port,
        })
    }

    /// What the gateway is to run with.
    pub(crate) fn settings(&self) -> Settings {
        cast::settings(&self.data_dir, self.gateway_port, self.admin_port)
    }

    /// What it is to collect, decide and fire.
    pub(crate) fn catalog(&self) -> Catalog {
        let shop = format!("http://{}", self.shop_addr);
        cast::catalog(&shop, self.ads_addr, &self.secret)
    }

    /// Where records are shown.
    pub(crate) fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    /// Where the shop is.
    pub(crate) const fn shop_addr(&self) -> SocketAddr {
        self.shop_addr
    }

    /// Serves shop and ad server, for a gateway at this address, until dropped.
    pub(crate) async fn play(self, gateway: SocketAddr, clock: impl Clock) {
        let pages = Pages::new(gateway, &self.catalog());
        let shop = Arc::new(Shop::new(pages, self.feed()));
        let verifier = Verifier::new(&self.secret).expect("the secret is our own");
        let ad_server = Arc::new(AdServer {
            verifier,
            feed: self.feed,
            clock,
        });
        tokio::join!(serve(self.shop, shop), serve(self.ads, ad_server));
        drop(self.temporary);
    }
}

async fn bind(who: &'static str, port: u16) -> Result<(TcpListener, SocketAddr), StageError> {
    let bound = async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    };
    bound
        .await
        .map_err(|source| StageError::Port { who, port, source })
}
