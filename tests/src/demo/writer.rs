//! A client that commits rows through the virtual address, one after the other, and remembers
//! every row that the database acknowledged. Those are the rows that must survive.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use postgres::{Client, Config, NoTls};

use super::Access;
use crate::netns;
use crate::world::Error;

/// How long a statement may go without a sign of life from the server. Shorter than any
/// failover, so that the client notices the loss and tries the next connection.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1000);
/// Linux asks an idle connection every 75 s whether it is still there.
const PROBES: Duration = Duration::from_secs(1);
/// Between two attempts while the service is away.
const RETRY: Duration = Duration::from_millis(50);

/// A row that the database said is committed.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its key.
    pub id: i64,
    /// When the acknowledgement arrived.
    pub at: SystemTime,
    /// The node whose database wrote it.
    pub node: String,
}

/// A row that says on which node it was written: the containers have their node's network, and its name.
const INSERT: &str = "INSERT INTO demo_rows (id, node)
    VALUES ($1, trim(E'\\n' FROM pg_read_file('/proc/sys/kernel/hostname'))) RETURNING node";

/// The running client.
pub struct Writer {
    stop: Arc<AtomicBool>,
    committed: Arc<Mutex<Vec<Committed>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Makes the table if it is not there and starts to write.
    ///
    /// # Errors
    /// When the database can't be reached or refuses the table.
    pub fn start(access: &Access) -> Result<Self, Error> {
        let mut client = connect(access)?;
        client.batch_execute(
            "CREATE TABLE IF NOT EXISTS demo_rows (id bigint PRIMARY KEY, node text NOT NULL, at timestamptz NOT NULL DEFAULT now())",
        )?;
        let first: i64 = client
            .query_one("SELECT coalesce(max(id), 0) + 1 FROM demo_rows", &[])?
            .get(0);
        let stop = Arc::new(AtomicBool::new(false));
        let committed = Arc::new(Mutex::new(Vec::new()));
        let thread = {
            let (stop, committed, access) = (stop.clone(), committed.clone(), access.clone());
            std::thread::spawn(move || write(Some(client), first, &access, &stop, &committed))
        };
        Ok(Self {
            stop,
            committed,
            thread: Some(thread),
        })
    }

    /// The rows acknowledged so far.
    pub fn committed(&self) -> Vec<Committed> {
        match self.committed.lock() {
            Ok(rows) => rows.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }

    /// The first row acknowledged after `moment`.
    pub fn first_after(&self, moment: SystemTime) -> Option<Committed> {
        self.committed().into_iter().find(|row| row.at > moment)
    }

    /// Ends the client and returns what was acknowledged.
    pub fn finish(mut self) -> Vec<Committed> {
        self.end();
        self.committed()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread shows as rows that stop coming; nothing to add here.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The keys of `acknowledged` that the database no longer has.
///
/// # Errors
/// When the database can't be reached.
pub fn missing(access: &Access, acknowledged: &[Committed]) -> Result<Vec<i64>, Error> {
    let ids: Vec<i64> = acknowledged.iter().map(|row| row.id).collect();
    let rows = connect(access)?.query(
        "SELECT id FROM unnest($1::bigint[]) AS id EXCEPT SELECT id FROM demo_rows ORDER BY id",
        &[&ids],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What is wrong with who wrote the rows, which are in their order: a node that wrote again after another had
/// written wrote beside it.
pub fn alternations(rows: &[Committed]) -> Vec<String> {
    let mut ended = BTreeSet::new();
    let mut found = Vec::new();
    for pair in rows.windows(2) {
        let (before, row) = (&pair[0], &pair[1]);
        if before.node != row.node {
            ended.insert(&before.node);
            if ended.contains(&row.node) {
                found.push(format!(
                    "row {} was written on {}, after another node had taken over from it",
                    row.id, row.node
                ));
            }
        }
    }
    found
}

fn connect(access: &Access) -> Result<Client, Error> {
    let mut config = Config::new();
    config
        .host(&access.database.to_string())
        .port(5432)
        .user("postgres")
        .password(&access.password)
        .dbname("postgres")
        .application_name("lab demo")
        .connect_timeout(ANSWER_TIMEOUT)
        .tcp_user_timeout(ANSWER_TIMEOUT)
        .keepalives_idle(ANSWER_TIMEOUT)
        .keepalives_interval(PROBES)
        .keepalives_retries(3);
    // The socket stays in the namespace in which it was opened, whoever uses it later.
    netns::in_namespace(&access.namespace, || Ok(config.connect(NoTls)?))
}

fn write(
    mut client: Option<Client>,
    first: i64,
    access: &Access,
    stop: &AtomicBool,
    committed: &Mutex<Vec<Committed>>,
) {
    let mut id = first;
    while !stop.load(Ordering::Relaxed) {
        let Some(connection) = client.as_mut() else {
            client = connect(access).ok();
            if client.is_none() {
                std::thread::sleep(RETRY);
            }
            continue;
        };
        match connection.query_one(INSERT, &[&id]) {
            Ok(answer) => {
                let row = Committed {
                    id,
                    at: SystemTime::now(),
                    node: answer.get(0),
                };
                if let Ok(mut rows) = committed.lock() {
                    rows.push(row);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            // Whether this row was committed is unknown, so it is not among those that must
            // survive, and its key is not used again.
            Err(_) => client = None,
        }
        id += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_on(nodes: &[&str]) -> Vec<Committed> {
        let rows = (1..).zip(nodes).map(|(id, node)| Committed {
            id,
            at: SystemTime::UNIX_EPOCH,
            node: (*node).to_owned(),
        });
        rows.collect()
    }

    #[test]
    fn a_node_does_not_write_after_another_took_over() {
        assert_eq!(
            alternations(&written_on(&["a", "a", "b", "b", "c"])),
            Vec::<String>::new()
        );
        assert_eq!(
            alternations(&written_on(&["a", "b", "a"])),
            ["row 3 was written on a, after another node had taken over from it"]
        );
    }
}
