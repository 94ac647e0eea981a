//! What enrichment looks up, swapped while in use: places by address, devices by user agent. The data
//! for user agents takes a moment to compile, so a start does that beside its other work.

use std::net::IpAddr;
use std::sync::Arc;

use tidegate_event::{Device, Geo, Timestamp};
use tokio::task::{JoinHandle, spawn_blocking};

use super::start::StartError;
use crate::device::{DataError, Devices};
use crate::geo::GeoDatabases;
use crate::pipeline::enrich::{DeviceLookup, GeoLookup};
use crate::settings::UserAgents;

/// Both.
#[derive(Clone, Debug)]
pub(super) struct Lookups {
    pub(super) geo: Arc<GeoDatabases>,
    pub(super) devices: Arc<Devices>,
}

impl GeoLookup for Lookups {
    fn lookup(&self, ip: IpAddr) -> Geo {
        self.geo.lookup(ip)
    }
}

impl DeviceLookup for Lookups {
    fn device(&self, user_agent: &str, now: Timestamp) -> Arc<Device> {
        self.devices.device(user_agent, now)
    }
}

/// The data for user agents, while it is compiled and after.
pub(super) enum LoadingDevices {
    Running(JoinHandle<Result<Devices, DataError>>),
    Done(Devices),
}

impl LoadingDevices {
    pub(super) fn start(settings: &UserAgents) -> Self {
        let settings = settings.clone();
        Self::Running(spawn_blocking(move || Devices::load(&settings)))
    }

    /// Waits for it.
    pub(super) async fn loaded(self) -> Result<Devices, StartError> {
        match self {
            Self::Done(devices) => Ok(devices),
            Self::Running(task) => match task.await {
                Ok(read) => Ok(read?),
                Err(panicked) => Err(StartError::Thread(std::io::Error::other(panicked))),
            },
        }
    }

    /// Waits for it, to be asked for it later.
    pub(super) async fn checked(self) -> Result<Self, StartError> {
        self.loaded().await.map(Self::Done)
    }
}
