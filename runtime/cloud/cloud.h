/* SPDX-License-Identifier: Apache-2.0
 * The cloud process from the inside: one link and one I/O thread (cloud.c, session.c, upload.c), one pool of workers that
 * all sessions share, and the desk, a helper thread for what takes long (desk.c); where edges may bring models, a second
 * one writes their files, so that a slow disk holds up nobody else. Private to runtime/cloud. */
#ifndef CLOUD_CLOUD_H
#define CLOUD_CLOUD_H

#include "cloud/store.h"
#include "session/hello.h"
#include "session/numbers.h"
#include "session/stream.h"

enum {
  CLOUD_MAX_EPOCHS = 2 * SESSION_MAX_EPOCHS, /* with retired ones whose last arena is in use for a moment more */
  CLOUD_ERROR_BYTES = 512,
  CLOUD_WHO_BYTES = 96
};

/* --------------------------------------------------------------------------------------------------- desk */

enum job_kind {
  JOB_GREET,   /* find the network, its profile */
  JOB_IMPORT,  /* a model has come: the same with its file */
  JOB_COMPILE, /* parse, check and compile a plan */
  JOB_DISCARD, /* a compiled plan whose session has gone meanwhile */
  JOB_RETIRE,  /* a plan that is not in force any more */
  JOB_REAP,    /* a session that has ended: stop its frames, free its programs */
  /* of the second desk: a model's file */
  JOB_OPEN,
  JOB_WRITE,
  JOB_DROP /* nobody waits for it any more */
};

struct job {
  enum job_kind kind;
  braid_peer peer;
  const struct braid_graph *graph; /* greet: what is served under that name, NULL: nothing; then the result */
  /* greet, import */
  struct hello hello;
  bool wants_file;     /* results: the edge is to send the model */
  bool holds;          /* `graph` is the store's, and this is one of its users; likewise of a plan compiled */
  /* import: the desk's; open, write: the session's; drop: the second desk's */
  struct incoming *incoming;
  struct braid_msg msg; /* write: MODEL */
  /* compile */
  uint32_t epoch;
  int window;
  uint64_t first_frame;
  char *text; /* the plan; of greet and import the result, a profile (NULL: not wanted) */
  size_t text_bytes;
  struct braid_plan *plan; /* results */
  struct braid_program *program;
  struct braid_arenas *arenas; /* the session's */
  struct stream *stream; /* retire */
  /* reap */
  struct session *session;

  enum braid_status status;
  char error[CLOUD_ERROR_BYTES];
  struct job *next;
};

struct jobs {
  struct job *first, **last;
};

struct known_profile;

struct desk {
  const struct braid_cloud_opts *opts; /* NULL: the second desk, which needs nothing of what follows */
  struct braid_pool *pool;
  struct io *io; /* poked when a job is done */
  pthread_t thread;
  bool started;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  struct jobs todo, done;      /* mutex */
  bool stop;                   /* mutex */
  struct known_profile *known; /* desk thread, like the rest */
};

BRAID_NODISCARD enum braid_status desk_start(struct desk *desk, const char *name, const struct braid_cloud_opts *opts,
                                             struct braid_pool *pool, struct io *io);
/* Finishes the job at hand, reaps every session, removes every file that is not whole, drops the rest. Fine on a zeroed
 * desk. */
void desk_stop(struct desk *desk);
void desk_post(struct desk *desk, struct job *job); /* takes it */
struct job *desk_done(struct desk *desk);           /* NULL: none; the caller owns it */
size_t desk_bytes_in_use(const struct desk *desk);  /* any thread */
void job_free(struct job *job);                     /* its plan and program taken */
/* What could be done about a model that is not here, as the end of a sentence. */
const char *desk_remedy(const struct braid_cloud_opts *opts, const struct hello *hello);

/* ------------------------------------------------------------------------------------------------ results
 * results.c: frames whose results are wanted here go to their consumer (opts.result) on a thread of its own. */

/* One for each arena of a plan that delivers here: the I/O thread's, but for what is between results_post and
 * results_done. */
struct delivery {
  struct session *session;
  struct braid_result result;
  struct braid_tensor *out; /* [n_out] result.out */
  bool handed, over;        /* to the consumer; it has them */
  enum braid_status status;
  char error[CLOUD_ERROR_BYTES];
  struct delivery *next;
};
struct deliveries {
  struct delivery *first, **last;
};
struct results {
  const struct braid_cloud_opts *opts;
  struct desk *desk;
  struct io *io; /* poked when a frame's results have been taken */
  pthread_t thread;
  bool started;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  struct deliveries todo, done; /* mutex, like the rest; bounded by the arenas there are */
  struct delivery *current;     /* with the consumer just now */
  struct session *orphan;       /* whose `current` is, and which has ended meanwhile: to be reaped */
  bool stop;
};
/* Without a consumer in opts there is nothing to deliver, and no thread. */
BRAID_NODISCARD enum braid_status results_start(struct results *results, const struct braid_cloud_opts *opts,
                                                struct desk *desk, struct io *io);
void results_stop(struct results *results); /* every session has been forgotten; fine on a zeroed one */
void results_post(struct results *results, struct delivery *delivery);
struct delivery *results_done(struct results *results); /* NULL: none */
/* A session has ended: drops what waits of it, has it reaped when nothing of it is with the consumer any more. */
void results_forget(struct results *results, struct session *session);
/* [window] of a plan's arenas, in one piece; NULL: no memory. */
struct delivery *deliveries_create(struct session *session, const struct stream *stream);

/* ------------------------------------------------------------------------------------------------ session */

struct stalled;

struct session_epoch {
  struct stream *stream;
  bool retired;         /* no new frames; freed when the last has ended */
  struct numbers begun; /* frames that have begun here */
  uint64_t n_ended;     /* frames */
  struct delivery *delivery; /* [window] where the plan delivers here; NULL: it does not */
  size_t stalled_bytes; /* of session->stalled */
  int n_stalled;
};

/* upload.c: a model that the edge sends. */
struct upload {
  enum { UPLOAD_NONE, UPLOAD_WAITS, UPLOAD_RUNS } state; /* waits: for its turn; runs: until it is imported */
  struct incoming *file;                                 /* NULL: none, or the desk has it */
  struct job *last;                                      /* what becomes of it, JOB_IMPORT or JOB_DROP */
  bool open;
  uint64_t asked, got, written, told; /* bytes: the edge may send, it has sent, are on the disk, it knows to be there */
  uint64_t mark;                      /* bytes it had sent ... */
  int64_t due_ns;                     /* ... and until when there must be more */
  uint64_t seen_over;                 /* waits: cloud->n_uploads_over then */
};

/* One edge. The I/O thread's until it is reaped. */
struct session {
  struct braid_cloud *cloud;
  struct channel channel;
  char who[CLOUD_WHO_BYTES];   /* for people: "edge 5", with keys "edge 5 (NAME)" */
  char whose[CLOUD_WHO_BYTES]; /* whom limits count: the key's name, else the address; "": not known */
  struct hello hello;
  const struct braid_graph *named; /* what is served under HELLO's name; NULL: nothing */
  const struct braid_graph *graph; /* NULL until it is welcomed */
  bool holds;                      /* and is one of the graph's users in the store */
  struct upload upload;
  bool welcomed;
  int n_epochs, n_compiling;
  uint32_t last_epoch; /* numbered on, never used again */
  struct session_epoch epoch[CLOUD_MAX_EPOCHS];
  struct stalled *stalled; /* DATA of frames that have no arena yet, in order of arrival */
  uint64_t frames;
  struct braid_arenas *arenas; /* of its programs: none of another edge ever gets them */
  uint64_t finish_ns;   /* share.c: virtual, when its last frame is over */
  int64_t may_begin_ns; /* share.c: its next frame, with a limit on its rate */
  struct {
    int64_t run_ns, profile_ns; /* of its tasks, in force and retired, up to then */
    double stretch;             /* run / profile, of the last interval in which tasks ran */
  } work;
  double busy; /* share of the cloud's workers that it had lately */
  struct job reap;
  struct session *next;
};

BRAID_NODISCARD enum braid_status session_create(struct braid_cloud *cloud, braid_peer peer, const struct hello *hello,
                                                 const struct braid_graph *named, struct session **out);
/* Finds its network (again); the answer is a job that is done. */
BRAID_NODISCARD enum braid_status session_ask_greeting(struct session *session);
/* Desk thread, or any once the other threads have ended. */
void session_destroy(struct session **session);
/* A message of its peer. May take the payload. Failure: the session is to be dropped. */
BRAID_NODISCARD enum braid_status session_hear(struct session *session, struct braid_msg *msg, int64_t now_ns);
BRAID_NODISCARD enum braid_status session_job_done(struct session *session, struct job *job);
/* share.c: who is served next. A frame's order in the pool and on the link; and when it has ended. */
uint64_t share_begin(struct session *session, struct session_epoch *epoch);
void share_end(struct session *session, struct session_epoch *epoch, uint64_t order);
/* May a frame of it begin now? Counts it if so. */
bool share_admits(struct session *session, int64_t now_ns);
int64_t share_wait_ns(const struct session *session, int64_t now_ns); /* until one may; 0: now */
/* load.c: what the edge is to be told of how busy this machine is; measured anew ten times a second. */
void session_note_load(struct session *session, int64_t now_ns);
/* Timers, finished frames, sends. */
BRAID_NODISCARD enum braid_status session_service(struct session *session, int64_t now_ns);
int64_t session_sleep_ns(const struct session *session, int64_t now_ns); /* until it wants to be served again */

/* upload.c: begins when it is this session's turn, or waits for it. */
BRAID_NODISCARD enum braid_status upload_begin(struct session *session);
BRAID_NODISCARD enum braid_status upload_hear(struct session *session, struct braid_msg *msg); /* takes the payload */
BRAID_NODISCARD enum braid_status upload_job_done(struct session *session, const struct job *job);
/* Asks for more of the file. BRAID_ETIMEDOUT: it does not come. */
BRAID_NODISCARD enum braid_status upload_service(struct session *session, int64_t now_ns);
void upload_end(struct session *session);        /* with the session, or when it is imported */
bool upload_is_due(const struct session *session); /* it has waited, and may have its turn now */

/* -------------------------------------------------------------------------------------------------- cloud */

struct braid_cloud {
  struct braid_cloud_opts opts; /* strings in it are not used after start */
  int threads;
  struct braid_pin_thread io_place;
  struct io io;
  struct braid_pool *pool;
  struct desk desk, files; /* files: only with a store */
  struct results results;
  pthread_t thread;
  bool started;
  atomic_bool stop, draining;
  pthread_mutex_t stats_mutex;
  struct braid_cloud_stats stats; /* under stats_mutex; written by the I/O thread */
  struct {
    uint64_t joined, refused, lost, frames, bytes_up, bytes_down; /* I/O thread; bytes of sessions that have ended */
  } past;
  /* --- I/O thread */
  struct session *sessions;
  int n_sessions;
  uint64_t n_frames;   /* begun, over all sessions; names them in traces */
  uint64_t n_delivered;
  uint64_t virtual_ns; /* share.c */
  uint64_t n_uploads_over; /* whoever waits for a turn looks again when there are more */
  bool told_drain;     /* the sessions have been told */
  bool joined;         /* this is a broker's worker, ... */
  int64_t report_ns;   /* ... which is told how busy it is then */
  struct {
    int64_t at_ns;
    double busy; /* share of the workers' time that all sessions took since the last time */
  } load;
};

/* See session->whose. */
void cloud_whose(const struct braid_cloud *cloud, braid_peer peer, char whose[CLOUD_WHO_BYTES]);
/* A peer for people, see session->who. */
void cloud_who(const struct braid_cloud *cloud, braid_peer peer, char who[CLOUD_WHO_BYTES]);
void cloud_event(const struct braid_cloud *cloud, const char *kind, const char *format, ...) BRAID_PRINTF(3, 4);

#endif
