//! `tidegate destinations`: how the receivers of a running gateway do.

use std::io::Write as _;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use super::client::path_part;
use super::configuration::{Configuration, Gateway};
use super::{CliError, Process};
use crate::admin::control::{DeadLetterView, DestinationView, ReplayView, TestView};

/// Options of `destinations`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tidegate destinations list\n  tidegate destinations test ads\n  tidegate destinations enable ads                after it answered 410 Gone\n  tidegate destinations dead-letters ads --limit 20\n  tidegate destinations replay ads                all of them\n  tidegate destinations replay ads --id 7 --id 9  these"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How each destination is doing
    #[command(
        after_help = "STATE is delivering; paused, after failures or as the receiver asked; probing, with one\nrequest after a pause; disabled, since it answered 410; or removed from the catalog.\n--json names the first three by the circuit breaker: closed, open and half_open."
    )]
    List(List),
    /// Send a test callback and print how it went
    Test(Test),
    /// Call a destination again that is paused, or switched off since it answered 410
    #[command(
        after_help = "Mend the receiver first: one that answers 410 again is switched off again. What was queued\nmeanwhile is delivered; what became a dead letter is for `tidegate destinations replay`."
    )]
    Enable(Enable),
    /// Changes that could not be delivered
    DeadLetters(DeadLetters),
    /// Queue dead letters again
    #[command(
        after_help = "A letter that something newer has overtaken is dropped as superseded: sending it would\nundo the newer change."
    )]
    Replay(Replay),
}

#[derive(Debug, Args)]
struct Common {
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    configuration: Configuration,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Test {
    /// The destination
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Enable {
    /// The destination
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct DeadLetters {
    /// The destination
    #[arg(value_name = "NAME")]
    name: String,
    /// At most this many, newest first
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Replay {
    /// The destination
    #[arg(value_name = "NAME")]
    name: String,
    /// Only this dead letter; may be given again
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<u64>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(arguments: &Arguments, process: &mut Process<'_>) -> Result<(), CliError> {
    match &arguments.command {
        Command::List(list) => list_all(&list.common, process),
        Command::Test(test) => send_test(test, process),
        Command::Enable(which) => enable(which, process),
        Command::DeadLetters(letters) => dead_letters(letters, process),
        Command::Replay(again) => replay(again, process),
    }
}

impl Common {
    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        process: &Process<'_>,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<T, CliError> {
        let settings = self.configuration.settings(&process.environment)?;
        let client = self.gateway.client(&settings)?;
        Ok(client.ask(method, path, body)?)
    }
}

fn list_all(common: &Common, process: &mut Process<'_>) -> Result<(), CliError> {
    let path = "/admin/v1/destinations";
    let all: Vec<DestinationView> = common.ask(process, Method::GET, path, String::new())?;
    if common.json {
        return all.iter().try_for_each(|one| Ok(process.output.json(one)?));
    }
    if all.is_empty() {
        writeln!(
            process.output,
            "no destinations; add a [[destination]] to the catalog"
        )?;
        return Ok(());
    }
    let heading = [
        "NAME",
        "KIND",
        "STATE",
        "QUEUED",
        "IN FLIGHT",
        "DELIVERED",
        "DEAD",
        "LAST ERROR",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let switched_off = |one: &&DestinationView| one.enabled && one.state == "disabled";
    let off: Vec<String> = all.iter().filter(switched_off).map(hint).collect();
    rows.extend(all.into_iter().map(|one| {
        let state = state(&one).to_owned();
        vec![
            one.name,
            one.kind,
            state,
            one.queued.to_string(),
            one.in_flight.to_string(),
            one.delivered.to_string(),
            one.dead_letters.to_string(),
            one.last_error.unwrap_or_else(|| "-".to_owned()),
        ]
    }));
    process.output.table(&rows)?;
    off.iter()
        .try_for_each(|hint| Ok(writeln!(process.output, "{hint}")?))
}

/// The API names the states of the circuit breaker; people read what the destination does.
fn state(one: &DestinationView) -> &str {
    match one.state.as_str() {
        _ if !one.enabled => "removed",
        "closed" => "delivering",
        "open" => "paused",
        "half_open" => "probing",
        other => other,
    }
}

fn hint(one: &DestinationView) -> String {
    let name = &one.name;
    format!(
        "{name} answered 410 Gone, so its changes wait; mend the receiver, then: tidegate destinations enable {name}"
    )
}

fn send_test(test: &Test, process: &mut Process<'_>) -> Result<(), CliError> {
    let path = format!("/admin/v1/destinations/{}/test", path_part(&test.name));
    let view: TestView = test
        .common
        .ask(process, Method::POST, &path, String::new())?;
    if test.common.json {
        process.output.json(&view)?;
    } else {
        let status = view
            .status
            .map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        let error = view
            .error
            .as_deref()
            .map_or_else(String::new, |error| format!(" ({error})"));
        writeln!(process.output, "{status} in {} ms{error}", view.latency_ms)?;
    }
    if view.delivered {
        Ok(())
    } else {
        Err(CliError::NotDelivered)
    }
}

fn enable(which: &Enable, process: &mut Process<'_>) -> Result<(), CliError> {
    let path = format!("/admin/v1/destinations/{}/enable", path_part(&which.name));
    let common = &which.common;
    let () = common.ask(process, Method::POST, &path, String::new())?;
    if common.json {
        process.output.json(&json!({ "enabled": which.name }))?;
    } else {
        writeln!(process.output, "enabled {}", which.name)?;
    }
    Ok(())
}

fn dead_letters(letters: &DeadLetters, process: &mut Process<'_>) -> Result<(), CliError> {
    let name = path_part(&letters.name);
    let path = format!(
        "/admin/v1/destinations/{name}/dead-letters?limit={}",
        letters.limit
    );
    let common = &letters.common;
    let all: Vec<DeadLetterView> = common.ask(process, Method::GET, &path, String::new())?;
    if common.json {
        return all.iter().try_for_each(|one| Ok(process.output.json(one)?));
    }
    if all.is_empty() {
        writeln!(process.output, "no dead letters")?;
        return Ok(());
    }
    let heading = [
        "ID", "SEGMENT", "CHANGE", "EPOCH", "REASON", "STATUS", "ATTEMPTS", "SINCE",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(all.into_iter().map(|one| {
        vec![
            one.id.to_string(),
            one.segment,
            one.change,
            one.epoch.to_string(),
            one.reason,
            one.last_status
                .map_or_else(|| "-".to_owned(), |status| status.to_string()),
            one.attempts.to_string(),
            one.dead_at.to_string(),
        ]
    }));
    Ok(process.output.table(&rows)?)
}

fn replay(again: &Replay, process: &mut Process<'_>) -> Result<(), CliError> {
    let path = format!("/admin/v1/destinations/{}/replay", path_part(&again.name));
    let body = if again.ids.is_empty() {
        String::new()
    } else {
        json!({ "ids": again.ids }).to_string()
    };
    let view: ReplayView = again.common.ask(process, Method::POST, &path, body)?;
    if again.common.json {
        return Ok(process.output.json(&view)?);
    }
    let ReplayView {
        replayed,
        superseded,
        missing,
        no_capacity,
    } = view;
    writeln!(
        process.output,
        "{replayed} queued again, {superseded} superseded, {missing} missing, {no_capacity} without room"
    )?;
    Ok(())
}
