//! Threads for the commands that would hold up the event loop.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use zeroize::Zeroize;

use super::frame::CODE;
use super::handler::{ConnectionInfo, RequestCtx};
use super::response::{ResponseBuffer, ResponseSink};
use super::shared::{Completion, Shared};

/// A request that a worker answers. Its bytes are wiped when it is dropped.
pub struct Job {
    connection: ConnectionInfo,
    message: Vec<u8>,
    header_len: usize,
    payload: Option<Box<dyn Any + Send>>,
    slot: usize,
    /// Taken when the job is answered.
    reply: Option<Arc<Shared>>,
}

impl Job {
    pub(super) fn new(
        request: RequestCtx<'_>,
        body: &[u8],
        payload: Option<Box<dyn Any + Send>>,
        slot: usize,
        reply: Arc<Shared>,
    ) -> Self {
        let mut message = Vec::with_capacity(request.header.len() + body.len());
        message.extend_from_slice(request.header);
        message.extend_from_slice(body);
        let header_len = request.header.len();
        Self { connection: *request.connection, message, header_len, payload, slot, reply: Some(reply) }
    }

    /// The request, as the handler saw it.
    #[must_use]
    pub fn request(&self) -> RequestCtx<'_> {
        RequestCtx { connection: &self.connection, header: &self.message[..self.header_len] }
    }

    /// What follows the header: at least the two characters of the command code.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message[self.header_len..]
    }

    /// What the handler gave to [`Disposition::DeferWith`](super::Disposition::DeferWith).
    pub fn take_payload(&mut self) -> Option<Box<dyn Any + Send>> {
        self.payload.take()
    }

    fn code(&self) -> [u8; CODE] {
        self.message().first_chunk().copied().unwrap_or(*b"ZY")
    }

    fn answer(&mut self, output: ResponseBuffer, end: JobEnd) {
        if let Some(reply) = self.reply.take() {
            reply.complete(Completion { slot: self.slot, id: self.connection.id, output, end });
        }
    }

    fn fail(&mut self) {
        let mut output = ResponseBuffer::new();
        output.sink(&self.message[..self.header_len]).internal_error(self.code());
        self.answer(output, JobEnd::Done);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Whatever became of the job: its connection waits for it.
        if self.reply.is_some() {
            self.fail();
        }
        self.message.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("connection", &self.connection.id)
            .field("message", &self.message().len())
            .finish_non_exhaustive()
    }
}

/// What becomes of the connection after a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    /// It goes on with its next request.
    Done,
    /// It is closed after the responses are sent.
    Close,
}

/// Does jobs in one thread, one after the other. May block.
pub trait Worker {
    /// Answers one request into `out`, as [`Handler::handle`](super::Handler::handle) would.
    fn run(&mut self, job: &mut Job, out: &mut ResponseSink<'_>) -> JobEnd;
}

impl<F: FnMut(&mut Job, &mut ResponseSink<'_>) -> JobEnd> Worker for F {
    fn run(&mut self, job: &mut Job, out: &mut ResponseSink<'_>) -> JobEnd {
        self(job, out)
    }
}

/// Makes workers. Called in the thread that the worker stays in, so that it need not be `Send`.
pub trait WorkerFactory: Send + Sync {
    /// Makes a worker: at the thread's start, after a reload, and after the last one has panicked.
    fn make(&self) -> Box<dyn Worker>;
}

impl<F: Fn() -> Box<dyn Worker> + Send + Sync> WorkerFactory for F {
    fn make(&self) -> Box<dyn Worker> {
        self()
    }
}

/// A number of worker threads, shared by its clones: several loops can use one pool.
///
/// The last clone to go ends the threads as soon as they have done the job at hand; it does not wait for them.
#[derive(Debug, Clone)]
pub struct WorkerPool(Arc<Owner>);

impl WorkerPool {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    ///
    /// What the system says when it refuses a thread.
    pub fn new(threads: usize, factory: impl WorkerFactory + 'static) -> io::Result<Self> {
        let pool = Self(Arc::new(Owner(Arc::new(Pool::default()))));
        let factory: Arc<dyn WorkerFactory> = Arc::new(factory);
        for n in 0..threads.max(1) {
            let (queue, factory) = (Arc::clone(&pool.0.0), Arc::clone(&factory));
            thread::Builder::new().name(format!("hsm-worker-{n}")).spawn(move || queue.work(&*factory))?;
        }
        Ok(pool)
    }

    /// Has every thread make its worker anew before its next job.
    pub fn renew(&self) {
        self.0.0.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Queues a job. A connection has no more than one at a time, so the queue is bounded by the connections.
    pub(super) fn submit(&self, job: Job) {
        self.0.0.lock().jobs.push_back(job);
        self.0.0.available.notify_one();
    }
}

#[derive(Debug)]
struct Owner(Arc<Pool>);

impl Drop for Owner {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.closed = true;
        let left = std::mem::take(&mut queue.jobs);
        drop(queue);
        self.0.available.notify_all();
        drop(left);
    }
}

#[derive(Debug, Default)]
struct Pool {
    queue: Mutex<Queue>,
    available: Condvar,
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue = self.available.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self, factory: &dyn WorkerFactory) {
        let mut generation = self.generation.load(Ordering::Acquire);
        // `None` after a panic: then the worker's state is not to be trusted.
        let mut worker = catch_unwind(AssertUnwindSafe(|| factory.make())).ok();
        while let Some(mut job) = self.next() {
            let newest = self.generation.load(Ordering::Acquire);
            if worker.is_none() || generation != newest {
                generation = newest;
                // The old one goes first: two of them may be more than memory allows.
                drop(worker.take());
                worker = catch_unwind(AssertUnwindSafe(|| factory.make())).ok();
            }
            let Some(current) = &mut worker else {
                log::error!("a worker cannot be made; its job is answered with error 41");
                job.fail();
                continue;
            };
            let mut output = ResponseBuffer::new();
            // The sink borrows the header while the worker may change the job.
            let header = job.request().header.to_vec();
            let end = catch_unwind(AssertUnwindSafe(|| current.run(&mut job, &mut output.sink(&header))));
            match end {
                Ok(end) => job.answer(output, end),
                Err(_) => {
                    log::error!("a worker panicked; its job is answered with error 41");
                    job.fail();
                    worker = None;
                }
            }
        }
    }
}
