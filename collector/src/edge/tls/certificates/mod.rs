//! The certificates in use: read from their files, found by the name a client asks for, replaced
//! all at once when a file changes. A file that cannot be used changes nothing.

mod pair;

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

pub use pair::CertificateError;
pub(super) use pair::{load, pair, validity_s};

use pair::{Digests, read};

use super::metrics::TlsMetrics;
use super::{acme, self_signed};
use crate::clock::Clock;
use crate::settings::{self, CertificateFiles};

/// Pairs that were read and can be used, each with where it stands; not in use yet.
#[derive(Debug)]
pub struct Fresh {
    digests: Digests,
    pairs: Vec<Pair>,
    /// Why the file of the obtained pair cannot be used, where there is one that cannot.
    obtained: Option<CertificateError>,
}

/// A pair and where it stands.
type Pair = (CertificateFiles, Arc<CertifiedKey>);

/// Which pairs of our own there are, beside the configured ones.
#[derive(Debug)]
struct Own {
    /// Made by us, in use while there is no other to come first; None where one is configured.
    self_signed: Option<CertificateFiles>,
    /// From an authority by ACME; the file is not there before the first one is.
    obtained: Option<CertificateFiles>,
}

/// The certificates in use.
#[derive(Debug)]
pub struct Certificates {
    /// `edge.tls.cert` and its key.
    pair: Option<CertificateFiles>,
    /// `edge.tls.certificates`.
    further: Vec<CertificateFiles>,
    own: Own,
    /// The first one serves clients that name no host or an unknown one.
    current: ArcSwap<Vec<Pair>>,
    in_use: Mutex<Digests>,
    /// The bad files that [`Self::refresh`] reported last: it reports them once.
    told: Mutex<Option<Digests>>,
    clock: Arc<dyn Clock>,
    metrics: TlsMetrics,
}

impl Certificates {
    /// Reads the configured pairs, or makes a self-signed one in `data_dir`.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub(super) fn open(
        settings: &settings::Tls,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
        metrics: TlsMetrics,
    ) -> Result<Self, CertificateError> {
        let certificates = Self {
            pair: settings.pair.clone(),
            further: settings.certificates.clone(),
            own: Own {
                self_signed: settings
                    .pair
                    .is_none()
                    .then(|| self_signed::files(data_dir)),
                obtained: acme::obtained(&settings.acme, data_dir),
            },
            current: ArcSwap::default(),
            in_use: Mutex::default(),
            told: Mutex::default(),
            clock,
            metrics,
        };
        certificates.reload()?;
        Ok(certificates)
    }

    /// Reads the files again and takes them where they changed; true where they did.
    ///
    /// # Errors
    /// [`CertificateError`]; then what was in use stays in use.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let fresh = self.prepare()?;
        let changed = fresh.is_some();
        if let Some(fresh) = fresh {
            self.put(fresh);
        }
        Ok(changed)
    }

    /// Reads the files again; None where they hold what is in use.
    ///
    /// # Errors
    /// [`CertificateError`], also where it was reported before.
    pub fn prepare(&self) -> Result<Option<Fresh>, CertificateError> {
        let (digests, fresh) = self.read_all();
        if *self.in_use.lock() == digests {
            return Ok(None);
        }
        fresh.map(Some)
    }

    /// Shows them to every new handshake.
    pub fn put(&self, fresh: Fresh) {
        let Fresh {
            digests,
            pairs,
            obtained,
        } = fresh;
        if let Some(error) = obtained {
            // Once: it is read again every few seconds.
            tracing::error!(
                %error,
                "the certificate from the authority cannot be used; where it was in use it stays"
            );
        }
        self.show(pairs, &mut self.in_use.lock(), digests);
    }

    /// Takes the obtained pair, which was just stored, and leaves all others in use. A file of another
    /// pair that is broken by now is reported where all files are read.
    ///
    /// # Errors
    /// [`CertificateError`] of its own file; then what was in use stays in use.
    pub(super) fn take_obtained(&self) -> Result<(), CertificateError> {
        let Some(files) = &self.own.obtained else {
            return Ok(());
        };
        let mut kept = Digests::default();
        let pair = read(files, &mut kept)?;
        let mut in_use = self.in_use.lock();
        let mut pairs = Vec::clone(&self.current.load());
        let mut digests = in_use.clone();
        pairs.retain(|(own, _)| own != files);
        if let Some(self_signed) = &self.own.self_signed {
            pairs.retain(|(own, _)| own != self_signed);
            digests.0.remove(&self_signed.cert);
            digests.0.remove(&self_signed.key);
        }
        let rank = usize::from(self.pair.is_some()).min(pairs.len());
        pairs.insert(rank, (files.clone(), pair));
        digests.0.append(&mut kept.0);
        self.show(pairs, &mut in_use, digests);
        Ok(())
    }

    fn show(&self, pairs: Vec<Pair>, in_use: &mut Digests, digests: Digests) {
        self.metrics.forget_certificates();
        for (files, pair) in &pairs {
            if let Some((_, ends_s)) = pair.cert.first().and_then(validity_s) {
                let certificate = files.cert.display().to_string();
                self.metrics.expires(&certificate, ends_s);
            }
        }
        if let Some((files, _)) = pairs.first()
            && self.own.self_signed.as_ref() == Some(files)
        {
            let acme = self.own.obtained.is_some();
            warn_of_self_signed(files, acme);
        }
        self.current.store(Arc::new(pairs));
        *in_use = digests;
    }

    /// What all files hold, and the pairs where every one of them can be used.
    fn read_all(&self) -> (Digests, Result<Fresh, CertificateError>) {
        let mut digests = Digests::default();
        let mut obtained = None;
        let loaded = self.load_all(&mut digests, &mut obtained);
        let pairs = loaded.into_iter().map(|loaded| {
            let (files, pair) = loaded?;
            Ok((files.clone(), pair))
        });
        let pairs: Result<_, _> = pairs.collect();
        let fresh = pairs.map(|pairs| Fresh {
            digests: digests.clone(),
            pairs,
            obtained,
        });
        (digests, fresh)
    }

    /// Every pair in the order of its rank; `refused` says why the obtained one cannot be used.
    fn load_all(
        &self,
        digests: &mut Digests,
        refused: &mut Option<CertificateError>,
    ) -> Vec<Loaded<'_>> {
        let mut all: Vec<Loaded<'_>> = Vec::new();
        all.extend(
            self.pair
                .iter()
                .map(|files| with(files, read(files, digests))),
        );
        if let Some(files) = &self.own.obtained {
            let pair = self.load_obtained(files, digests).unwrap_or_else(|error| {
                *refused = Some(error);
                self.in_use_of(files)
            });
            all.extend(pair.map(|pair| Ok((files, pair))));
        }
        if let (true, Some(files)) = (all.is_empty(), &self.own.self_signed) {
            let made = self.renew_self_signed(files);
            all.push(with(files, made.and_then(|()| read(files, digests))));
        }
        all.extend(
            self.further
                .iter()
                .map(|files| with(files, read(files, digests))),
        );
        all
    }

    /// None where there is none yet. One that cannot be used must not stop a start, nor take the
    /// place of the one that is in use.
    fn load_obtained(
        &self,
        files: &CertificateFiles,
        digests: &mut Digests,
    ) -> Result<Option<Arc<CertifiedKey>>, CertificateError> {
        match read(files, digests) {
            Err(error) if error.is_absence() => {
                digests.0.remove(&files.cert);
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    fn in_use_of(&self, files: &CertificateFiles) -> Option<Arc<CertifiedKey>> {
        let pairs = self.current.load();
        let found = pairs.iter().find(|(own, _)| own == files);
        found.map(|(_, pair)| Arc::clone(pair))
    }

    /// One look at the files, its end logged and counted.
    pub(super) fn refresh(&self) {
        let (digests, fresh) = self.read_all();
        let mut told = self.told.lock();
        let unchanged = *self.in_use.lock() == digests;
        match fresh {
            Ok(_) if unchanged => *told = None,
            Ok(fresh) if fresh.obtained.is_some() => {
                self.put(fresh);
                *told = None;
                self.metrics.refused();
            }
            Ok(fresh) => {
                self.put(fresh);
                *told = None;
                self.metrics.reloaded();
                tracing::info!("changed certificates are in use");
            }
            Err(_) if told.as_ref() == Some(&digests) => {}
            Err(error) => {
                *told = Some(digests);
                self.metrics.refused();
                tracing::error!(%error, "changed certificates refused, the old ones stay");
            }
        }
    }

    fn renew_self_signed(&self, files: &CertificateFiles) -> Result<(), CertificateError> {
        let kept = load(files).ok();
        let ends_s = kept.and_then(|pair| Some(validity_s(pair.cert.first()?)?.1));
        self_signed::renew(files, ends_s, self.clock.now())
    }

    /// The one for `name`, else the first.
    pub(super) fn named(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let pairs = self.current.load();
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let fitting = name.and_then(|name| {
            pairs.iter().find(|(_, pair)| {
                let own = pair.cert.first().map(ParsedCertificate::try_from);
                matches!(own, Some(Ok(own)) if verify_server_name(&own, &name).is_ok())
            })
        });
        let found = fitting.or_else(|| pairs.first());
        found.map(|(_, pair)| Arc::clone(pair))
    }
}

/// A pair that was read, or why it cannot be used.
type Loaded<'f> = Result<(&'f CertificateFiles, Arc<CertifiedKey>), CertificateError>;

fn with(files: &CertificateFiles, pair: Result<Arc<CertifiedKey>, CertificateError>) -> Loaded<'_> {
    pair.map(|pair| (files, pair))
}

fn warn_of_self_signed(files: &CertificateFiles, acme: bool) {
    let next = if acme {
        "until the authority has signed one"
    } else {
        "set edge.tls.cert and edge.tls.key"
    };
    tracing::warn!(
        certificate = %files.cert.display(),
        next,
        "https runs on a self-signed certificate that no browser trusts"
    );
}

#[cfg(test)]
mod tests;
