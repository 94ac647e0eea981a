//! Threads and tasks that are watched: each holds its pulse until it ends, so that a panic is seen.

use std::future::Future;
use std::io;

use tidegate_event::Pulse;
use tokio::task::JoinHandle;

/// A thread that holds its pulse; `body` beats by it.
///
/// # Errors
/// Those of the system, which starts the thread.
pub fn thread(
    name: &str,
    pulse: Pulse,
    body: impl FnOnce(&Pulse) + Send + 'static,
) -> io::Result<std::thread::JoinHandle<()>> {
    let name = name.to_owned();
    std::thread::Builder::new().name(name).spawn(move || {
        pulse.beat();
        body(&pulse);
    })
}

/// A task that moves its pulse into `body`.
pub fn task<F>(pulse: Pulse, body: impl FnOnce(Pulse) -> F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    spawn(body(pulse))
}

/// A task that only has to be there: it holds a pulse that always waits.
pub fn holding<F>(pulse: Pulse, body: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    spawn(async move {
        let _held_until_the_end = pulse;
        body.await;
    })
}

/// A short task for one request or connection: a panic ends that one alone.
pub fn short<F>(body: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn(body)
}

/// Blocking work of a watched task, on the runtime's blocking threads. A panic goes on in the task
/// that waits. `None` where the runtime ends before the work begins.
pub async fn blocking<T>(work: impl FnOnce() -> T + Send + 'static) -> Option<T>
where
    T: Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Some(value),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

fn spawn<F>(body: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(body)
}

#[cfg(test)]
mod tests {
    use tidegate_event::{Life, Pulses};

    use super::*;

    fn life(pulses: &Pulses) -> Life {
        pulses.beats()[0].life
    }

    #[test]
    fn a_panicked_thread_is_seen() {
        let pulses = Pulses::default();
        let pulse = pulses.register("part", 1);
        let thread = thread("part", pulse, |_| panic!("as the test wants it")).unwrap();
        assert!(thread.join().is_err());
        assert_eq!(life(&pulses), Life::Panicked);
    }

    #[tokio::test]
    async fn a_task_panics_with_its_blocking_work() {
        let pulses = Pulses::default();
        let pulse = pulses.register("part", 1);
        let task = task(pulse, |pulse| async move {
            pulse.beat();
            blocking::<()>(|| panic!("as the test wants it")).await;
        });
        assert!(task.await.is_err());
        assert_eq!(life(&pulses), Life::Panicked);
    }

    #[tokio::test]
    async fn a_task_that_is_held_ends_with_its_body() {
        let pulses = Pulses::default();
        let pulse = pulses.register("part", 1);
        holding(pulse, async {}).await.unwrap();
        assert_eq!(life(&pulses), Life::Ended);
    }
}
