//! Which settings a command works with, and where the running gateway is.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rustls::ClientConfig;

use super::CliError;
use super::client::{Client, ClientError};
use crate::admin::auth::read_token;
use crate::admin::tls;
use crate::document::Environment;
use crate::settings::Settings;
use crate::settings::load::{LoadError, Origin};

/// Options of commands that read the settings.
#[derive(Clone, Debug, Default, Args)]
pub struct Configuration {
    /// The settings file; without it the defaults hold
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where journal, profiles and catalog live; overrides data_dir
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl Configuration {
    /// Reads the settings, as at start.
    ///
    /// # Errors
    /// [`LoadError`]
    pub fn settings(&self, environment: &Environment) -> Result<Settings, LoadError> {
        self.origin(environment).read()
    }

    /// Where the settings come from.
    #[must_use]
    pub fn origin(&self, environment: &Environment) -> Origin {
        Origin {
            config: self.config.clone(),
            environment: environment.clone(),
            data_dir: self.data_dir.clone(),
        }
    }
}

/// Options of commands that ask a running gateway.
#[derive(Clone, Debug, Default, Args)]
pub struct Gateway {
    /// The running gateway's admin address [default: admin.listen of --config, else http://127.0.0.1:9180]
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// File with the admin token [default: admin.token_file of --config]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Who signed the certificate of an https --admin, PEM
    #[arg(long, value_name = "FILE")]
    pub admin_ca: Option<PathBuf>,
    /// Our certificate, where the gateway asks for one (admin.tls.client_ca), PEM
    #[arg(long, value_name = "FILE", requires_all = ["admin_key", "admin_ca"])]
    pub admin_cert: Option<PathBuf>,
    /// The key of --admin-cert, PEM
    #[arg(long, value_name = "FILE", requires = "admin_cert")]
    pub admin_key: Option<PathBuf>,
}

impl Gateway {
    /// A client of the gateway that these options and the settings name.
    ///
    /// # Errors
    /// A bad URL, or a token file that cannot be read.
    pub fn client(&self, settings: &Settings) -> Result<Client, CliError> {
        let url = self.admin.clone();
        let scheme = settings.admin.tls.as_ref().map_or("http", |_| "https");
        let url = url.unwrap_or_else(|| format!("{scheme}://{}", settings.admin.listen));
        let file = self
            .token_file
            .as_ref()
            .or(settings.admin.token_file.as_ref());
        let token = file.map(|file| read_token(file)).transpose()?;
        Client::new(&url, token, self.tls()?).map_err(|error: ClientError| error.into())
    }

    fn tls(&self) -> Result<Option<Arc<ClientConfig>>, CliError> {
        let Some(ca) = &self.admin_ca else {
            return Ok(None);
        };
        let own = self.admin_cert.as_deref().zip(self.admin_key.as_deref());
        Ok(Some(Arc::new(tls::client(ca, own)?)))
    }
}
