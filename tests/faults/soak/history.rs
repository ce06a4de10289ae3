//! Whether answers make sense: one history of one key at a time is held against what a single, sequential store would have
//! answered (linearizability, by linearizing each operation at the latest when it returns).
//!
//! Invariants: an operation takes effect once, at one moment between the call and the answer; one that never had an answer may
//! take effect at any later moment until [`History::settle`], or never. The check runs as the answers come, and remembers no
//! more than what is still possible.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;

/// Names an operation in a history.
pub type Id = u32;

/// What a sequential store would do.
pub trait Model {
    /// What there is.
    type State: Clone + Eq + Hash + Debug;
    /// What is asked.
    type Operation: Clone + Debug;
    /// What is answered.
    type Answer: Clone + Eq + Hash + Ord + Debug;

    /// The state after an operation, and its answer.
    fn apply(state: &Self::State, id: Id, operation: &Self::Operation) -> (Self::State, Self::Answer);
}

/// One way in which all that was answered so far can have happened: what there is, and which of the pending operations have
/// taken effect, with what they will answer.
type Possible<M> = (<M as Model>::State, BTreeMap<Id, <M as Model>::Answer>);

/// The history of one key.
#[derive(Debug)]
pub struct History<M: Model> {
    possible: HashSet<Possible<M>>,
    pending: BTreeMap<Id, M::Operation>,
    next: Id,
}

impl<M: Model> History<M> {
    /// One that begins with this state.
    pub fn new(state: M::State) -> Self {
        Self { possible: HashSet::from([(state, BTreeMap::new())]), pending: BTreeMap::new(), next: 0 }
    }

    /// Notes that an operation is about to be sent.
    pub fn call(&mut self, operation: M::Operation) -> Id {
        self.next += 1;
        self.pending.insert(self.next, operation);
        self.next
    }

    /// Notes the answer of an operation. Fails when no order of the operations explains it, and tells what was possible.
    pub fn answer(&mut self, id: Id, answer: &M::Answer) -> Result<(), String> {
        let mut explained = HashSet::new();
        self.explore(|(state, done)| {
            let Some(found) = done.get(&id) else { return true };
            if found == answer {
                let mut done = done.clone();
                done.remove(&id);
                explained.insert((state.clone(), done));
            }
            false
        });
        if explained.is_empty() {
            return Err(format!("{id} answered {answer:?}, of {:?}, when {:?}", self.pending, self.possible));
        }
        self.possible = explained;
        self.pending.remove(&id);
        Ok(())
    }

    /// Notes that an operation which changes nothing got no answer.
    pub fn forget(&mut self, id: Id) {
        self.pending.remove(&id);
        self.possible = self.possible.drain().map(|(state, done)| (state, without(done, &[id]))).collect();
    }

    /// Notes that of these operations, which got no answer, none can take effect any more.
    pub fn settle(&mut self, lost: &[Id]) {
        let mut settled = HashSet::new();
        self.explore(|(state, done)| {
            settled.insert((state.clone(), without(done.clone(), lost)));
            true
        });
        self.possible = settled;
        self.pending.retain(|id, _| !lost.contains(id));
    }

    /// Visits whatever can be the case after some of the pending operations have taken effect; goes on from where `visit`
    /// says so.
    fn explore(&self, mut visit: impl FnMut(&Possible<M>) -> bool) {
        let mut seen = self.possible.clone();
        let mut open: Vec<_> = self.possible.iter().cloned().collect();
        while let Some(possible) = open.pop() {
            if !visit(&possible) {
                continue;
            }
            let (state, done) = possible;
            for (id, operation) in self.pending.iter().filter(|(id, _)| !done.contains_key(id)) {
                let (state, answer) = M::apply(&state, *id, operation);
                let mut done = done.clone();
                done.insert(*id, answer);
                if seen.insert((state.clone(), done.clone())) {
                    open.push((state, done));
                }
            }
        }
    }
}

fn without<A>(mut done: BTreeMap<Id, A>, ids: &[Id]) -> BTreeMap<Id, A> {
    done.retain(|id, _| !ids.contains(id));
    done
}

/// A register, to prove the check itself.
#[derive(Debug)]
struct Register;

impl Model for Register {
    type State = u32;
    type Operation = Option<u32>;
    type Answer = u32;

    fn apply(state: &u32, _id: Id, operation: &Option<u32>) -> (u32, u32) {
        operation.map_or((*state, *state), |written| (written, 0))
    }
}

#[test]
fn what_no_order_explains_is_found() {
    let begin = || History::<Register>::new(0);
    // A read after a write that was answered sees it.
    let mut history = begin();
    let write = history.call(Some(1));
    history.answer(write, &0).unwrap();
    let read = history.call(None);
    assert!(history.answer(read, &0).is_err());
    // Once one reader has seen the new value, the next does not see the old one, although the write is still on its way.
    let mut history = begin();
    history.call(Some(1));
    let (first, second) = (history.call(None), history.call(None));
    history.answer(first, &1).unwrap();
    history.answer(second, &0).unwrap();
    let third = history.call(None);
    assert!(history.answer(third, &0).is_err());
    // A value that nobody wrote.
    let mut history = begin();
    let read = history.call(None);
    assert!(history.answer(read, &7).is_err());
    // A write that has taken effect does not do so again, after another one.
    let mut history = begin();
    let lost = history.call(Some(1));
    let read = history.call(None);
    history.answer(read, &1).unwrap();
    let write = history.call(Some(2));
    history.answer(write, &0).unwrap();
    let read = history.call(None);
    assert!(history.answer(read, &1).is_err());
    assert_eq!(lost, 1);
}

#[test]
fn what_some_order_explains_is_not_found() {
    let mut history = History::<Register>::new(0);
    // Of two writes at once either may be the last; of one that got no answer, both are right, late as well.
    let (one, two) = (history.call(Some(1)), history.call(Some(2)));
    history.answer(two, &0).unwrap();
    history.answer(one, &0).unwrap();
    let lost = history.call(Some(3));
    let read = history.call(None);
    history.answer(read, &2).unwrap();
    let read = history.call(None);
    history.answer(read, &3).unwrap();
    history.settle(&[lost]);
    let read = history.call(None);
    history.answer(read, &3).unwrap();
    // What was settled without having been seen is there or not, but always the same.
    let lost = history.call(Some(4));
    history.settle(&[lost]);
    let forgotten = history.call(None);
    history.forget(forgotten);
    let read = history.call(None);
    history.answer(read, &3).unwrap();
    let read = history.call(None);
    assert!(history.answer(read, &4).is_err());
}
