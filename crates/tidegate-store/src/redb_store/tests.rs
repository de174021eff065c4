//! Laws of every store, and what a crash or a damaged file does to the one on disk.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::RedbStore;
use crate::{Batch, MemoryStore, RECORD_MAX, Store, StoreError};

fn file_store() -> (tempfile::TempDir, RedbStore) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = RedbStore::open(&directory.path().join("state.redb")).expect("a new store");
    (directory, store)
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, Vec<u8>),
    Remove(u8),
    Cas(u8, Option<Vec<u8>>, Option<Vec<u8>>),
    Append(u8, Vec<Vec<u8>>),
    Clear(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = || prop::collection::vec(any::<u8>(), 0..4);
    let key = || 0..4u8;
    let step = prop_oneof![
        (key(), value()).prop_map(|(k, v)| Step::Put(k, v)),
        key().prop_map(Step::Remove),
        (key(), prop::option::of(value()), prop::option::of(value()))
            .prop_map(|(k, e, v)| Step::Cas(k, e, v)),
        (key(), prop::collection::vec(value(), 0..3)).prop_map(|(j, r)| Step::Append(j, r)),
        key().prop_map(Step::Clear),
    ];
    prop::collection::vec(step, 1..12)
}

fn run(store: &dyn Store, step: &Step) -> bool {
    let key = |k: &u8| format!("key-{k}");
    let done = match step {
        Step::Put(k, v) => store.put("t", &key(k), v.clone()),
        Step::Remove(k) => store.commit(Batch::new().remove("t", &key(k))),
        Step::Cas(k, e, v) => store.compare_and_set("t", &key(k), e.clone(), v.clone()),
        Step::Append(j, records) => store.append(&key(j), records.clone()),
        Step::Clear(j) => store.commit(Batch::new().clear(&key(j))),
    };
    done.is_ok()
}

type Content = (
    Vec<(String, Vec<u8>)>,
    BTreeMap<String, Vec<(u64, Vec<u8>)>>,
);

fn content(store: &dyn Store) -> Content {
    let tables = store.list("t", "", None, 100).expect("readable");
    let journals = (0..4u8).map(|j| {
        let name = format!("key-{j}");
        let records = store.records(&name, 0, 1000).expect("readable");
        (
            name,
            records.into_iter().map(|r| (r.sequence, r.data)).collect(),
        )
    });
    (tables, journals.collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_file_agree(steps in steps()) {
        let (_directory, file) = file_store();
        let memory = MemoryStore::new();
        for step in &steps {
            prop_assert_eq!(run(&file, step), run(&memory, step));
        }
        prop_assert_eq!(content(&file), content(&memory));
    }

    /// A crash keeps any part of what was written since the last flush; everything that was
    /// acknowledged is there afterwards, and of the rest only whole batches.
    #[test]
    fn a_crash_loses_nothing_that_was_acknowledged(
        steps in steps(),
        crash_after in 0usize..60,
        keep in any::<u64>(),
    ) {
        let disk = Disk::default();
        let memory = MemoryStore::new();
        let mut possible = vec![content(&memory)];
        if let Ok(store) = RedbStore::on(disk.clone()) {
            disk.fail_after(crash_after);
            for step in &steps {
                let acknowledged = run(&store, step);
                if disk.has_failed() {
                    run(&memory, step);
                    possible.push(content(&memory));
                    break;
                }
                prop_assert_eq!(acknowledged, run(&memory, step));
                possible = vec![content(&memory)];
            }
        }
        let after = RedbStore::on(disk.crash(keep)).expect("the file is usable after a crash");
        prop_assert!(possible.contains(&content(&after)), "{:?}", content(&after));
    }
}

/// A disk that forgets what was not flushed, and fails at a chosen moment.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<DiskState>>);

#[derive(Debug, Default)]
struct DiskState {
    durable: Vec<u8>,
    current: Vec<u8>,
    /// Writes since the last flush.
    pending: Vec<(u64, Vec<u8>)>,
    fuel: Option<usize>,
    failed: bool,
}

impl Disk {
    fn fail_after(&self, operations: usize) {
        self.0.lock().unwrap().fuel = Some(operations);
    }

    fn has_failed(&self) -> bool {
        self.0.lock().unwrap().failed
    }

    /// The disk after the crash: of the pending writes, those whose bit is set in `keep` made it.
    fn crash(&self, keep: u64) -> Self {
        let state = self.0.lock().unwrap();
        let mut bytes = state.durable.clone();
        for (number, (offset, data)) in state.pending.iter().enumerate() {
            if keep >> (number % 64) & 1 == 1 {
                let start = usize::try_from(*offset).unwrap();
                let end = start + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[start..end].copy_from_slice(data);
            }
        }
        if bytes.len() < state.current.len() {
            bytes.resize(state.current.len(), 0);
        }
        let fresh = DiskState {
            durable: bytes.clone(),
            current: bytes,
            ..DiskState::default()
        };
        Self(Arc::new(Mutex::new(fresh)))
    }

    fn spend(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        match state.fuel {
            Some(0) => {
                state.failed = true;
                Err(io::Error::other("power cut"))
            }
            Some(left) => {
                state.fuel = Some(left - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl ::redb::StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().unwrap().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let state = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let slice = state.current.get(start..start + out.len());
        out.copy_from_slice(slice.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.spend()?;
        let mut state = self.0.lock().unwrap();
        state.current.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.spend()?;
        let mut state = self.0.lock().unwrap();
        state.durable = state.current.clone();
        state.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.spend()?;
        let mut state = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let end = start + data.len();
        if state.current.len() < end {
            state.current.resize(end, 0);
        }
        state.current[start..end].copy_from_slice(data);
        state.pending.push((offset, data.to_vec()));
        Ok(())
    }
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/er/state.redb");
    {
        let store = RedbStore::open(&path).unwrap();
        store.put("t", "a", b"1".to_vec()).unwrap();
        store
            .append("j", vec![b"x".to_vec(), b"y".to_vec()])
            .unwrap();
        store
            .commit(Batch::new().clear("j").append("j", b"z".to_vec()))
            .unwrap();
    }
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.get("t", "a").unwrap().as_deref(), Some(&b"1"[..]));
    let records = store.records("j", 0, 10).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(
        (records[0].sequence, records[0].data.as_slice()),
        (2, &b"z"[..])
    );
}

#[test]
fn a_second_opener_is_told_who_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let first = RedbStore::open(&path).unwrap();
    let error = RedbStore::open(&path).expect_err("locked");
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    let id = std::process::id().to_string();
    assert!(error.to_string().contains(&id), "{error}");
    drop(first);
    RedbStore::open(&path).expect("free again");
}

#[test]
fn a_file_that_is_no_store_is_refused_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole.redb");
    let store = RedbStore::open(&whole).unwrap();
    for number in 0..50 {
        store.put("t", &number.to_string(), vec![7; 300]).unwrap();
    }
    drop(store);
    let good = std::fs::read(&whole).unwrap();
    let mut no_magic = good.clone();
    no_magic[..16].fill(b'x');
    for (name, bytes) in [
        ("text", b"this is no store, it is a text".to_vec()),
        ("short", good[..40].to_vec()),
        ("no-magic", no_magic),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let error = RedbStore::open(&path).expect_err(name);
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{name}: {error:?}"
        );
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name} was changed");
    }
}

#[test]
fn a_damaged_page_is_an_error_and_never_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole.redb");
    let store = RedbStore::open(&whole).unwrap();
    for number in 0..50 {
        store.put("t", &number.to_string(), vec![7; 300]).unwrap();
    }
    drop(store);
    let good = std::fs::read(&whole).unwrap();
    let path = directory.path().join("damaged.redb");
    for page in 0..good.len() / 4096 {
        let mut bytes = good.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0xA5);
        std::fs::write(&path, bytes).unwrap();
        let Ok(store) = RedbStore::open(&path) else {
            continue;
        };
        let _listed = store.list("t", "", None, 100);
        let _written = store.put("t", "new", vec![1]);
    }
}

#[test]
fn limits_hold() {
    let stores: [Box<dyn Store>; 2] = [Box::new(file_store().1), Box::new(MemoryStore::new())];
    for store in stores {
        let error = store
            .put("t", "k", vec![0; RECORD_MAX + 1])
            .expect_err("too large");
        assert!(matches!(error, StoreError::TooLarge { .. }), "{error:?}");
        let error = store
            .put("t", &"k".repeat(2000), vec![])
            .expect_err("too large");
        assert!(matches!(error, StoreError::TooLarge { .. }), "{error:?}");
        assert_eq!(store.list("t", "", None, 10).unwrap(), []);
    }
}

#[test]
fn pages_of_a_list_join_without_gap() {
    let stores: [Box<dyn Store>; 2] = [Box::new(file_store().1), Box::new(MemoryStore::new())];
    for store in stores {
        for key in ["a", "b/1", "b/2", "b/3", "c"] {
            store.put("t", key, key.as_bytes().to_vec()).unwrap();
        }
        store.put("u", "b/4", vec![]).unwrap();
        let mut seen = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = store.list("t", "b/", after.as_deref(), 2).unwrap();
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            seen.extend(page.into_iter().map(|(key, _)| key));
        }
        assert_eq!(seen, ["b/1", "b/2", "b/3"]);
    }
}

#[test]
fn commits_of_many_callers_are_all_written() {
    let (_directory, store) = file_store();
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..10u8 {
                    store
                        .append(&format!("j{caller}"), vec![vec![number]])
                        .unwrap();
                }
                store
                    .compare_and_set("t", "first", None, Some(vec![caller]))
                    .is_ok()
            });
        }
    });
    for caller in 0..8 {
        let records = store.records(&format!("j{caller}"), 0, 100).unwrap();
        let data: Vec<u8> = records.iter().map(|record| record.data[0]).collect();
        assert_eq!(data, (0..10).collect::<Vec<u8>>());
    }
    assert!(store.get("t", "first").unwrap().is_some());
}
