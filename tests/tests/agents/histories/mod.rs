//! Random histories: agents that start, stop and die on three nodes, which lose their network, their power
//! or EC2's memory, while an operator attaches and detaches. Whatever the order, no two nodes can ever write,
//! nothing is taken by force from a node that runs, or at all without fencing, a stop that answers 0 has let go, and
//! in the end it works.
//!
//! A run holds the same histories every time. `PROPTEST_CASES=500` makes that many, new each time.
//! What was found so is in `found`, under a name.

mod action;
mod found;
mod interruption;
mod machines;
mod operation;
mod way;
mod world;

use std::ops::RangeInclusive;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use lab::site::INSTANCES;
use operation::{Operation, operation};
use world::World;

/// Histories at once. Most of their time they wait.
const AT_ONCE: u8 = 20;
/// Histories in a run that nobody asked to be longer.
const CASES: u32 = 60;
const OPERATIONS: RangeInclusive<usize> = 4..=12;
/// Milliseconds that may go into making a failing history shorter.
const SHRINKING: u32 = 240_000;

/// A history: what happens, whether force is asked for, whether the cluster fences, and which node gets the volume in
/// the end.
#[derive(Debug, Clone)]
struct History {
    operations: Vec<Operation>,
    force_asked: bool,
    fenced: bool,
    last: usize,
}

fn history() -> impl Strategy<Value = History> {
    (
        vec(operation(), OPERATIONS),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.7),
        0..INSTANCES.len(),
    )
        .prop_map(|(operations, force_asked, fenced, last)| History {
            operations,
            force_asked,
            fenced,
            last,
        })
}

/// What is wrong in the history and what EC2 did; nothing if nothing is.
fn wrong_in(world: &World, history: &History) -> Option<String> {
    for operation in &history.operations {
        world.perform(operation, true);
    }
    world.converges(history.last);
    let wrong = world.wrong();
    (!wrong.is_empty()).then(|| format!("{}\n{}", wrong.join("\n"), world.log()))
}

#[test]
fn no_history_has_two_writers_an_unasked_force_or_a_stop_that_lies() {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let cases = asked.as_ref().map_or(CASES, |cases| cases.parse().unwrap());
    std::thread::scope(|scope| {
        for worker in 0..AT_ONCE {
            let asked = asked.is_some();
            scope.spawn(move || {
                let config = Config {
                    cases: cases.div_ceil(AT_ONCE.into()),
                    max_shrink_time: SHRINKING,
                    failure_persistence: None,
                    ..Config::default()
                };
                let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[worker; 32]);
                let mut runner = if asked {
                    TestRunner::new(config)
                } else {
                    TestRunner::new_with_rng(config, seed)
                };
                let outcome = runner.run(&history(), |history| {
                    let mut world = World::new(history.force_asked);
                    world.fenced = history.fenced;
                    match wrong_in(&world, &history) {
                        None => Ok(()),
                        Some(wrong) => Err(TestCaseError::fail(wrong)),
                    }
                });
                if let Err(TestError::Fail(wrong, history)) = outcome {
                    panic!("{wrong}\nin {history:#?}");
                }
            });
        }
    });
}
