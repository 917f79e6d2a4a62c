/* SPDX-License-Identifier: Apache-2.0
 *
 * braid/runtime.h: who runs what, when, on which core. Binds graphs, kernels, plans and links; the only layer that
 * starts threads.
 */
#ifndef BRAID_RUNTIME_H
#define BRAID_RUNTIME_H

#include "braid/base.h"
#include "braid/kernels.h"
#include "braid/models.h"
#include "braid/scheduler.h"
#include "braid/transport.h"

#pragma GCC visibility push(default)
BRAID_BEGIN_DECLS

/* ------------------------------------------------------------------------------------------- models */

struct braid_open_opts {
  int batch;          /* 0: 1 */
  uint64_t seed;      /* zoo weights; 0 is a fine seed and the default */
  unsigned no_passes; /* passes to leave out */
  const char *name;   /* of the graph of a file; NULL: the file's, without folder and .onnx */
  size_t max_bytes;   /* of a file, and of what it unpacks to; 0: 4 GiB */
  bool one_file;      /* files with external data are refused */
};
/* `model`: a zoo name or a path ending in .onnx. Loads, folds constants with the reference kernels, seals. */
BRAID_NODISCARD enum braid_status braid_model_open(const char *model, const struct braid_open_opts *opts,
                                                   struct braid_graph **out);
/* Evaluates one operator with the reference kernels (the evaluator that import uses). */
struct braid_evaluator braid_reference_evaluator(void);

/* -------------------------------------------------------------------------------------------- pinning */

struct braid_topology; /* this machine, an XML file or a synthetic description, through hwloc */
BRAID_NODISCARD enum braid_status braid_topology_open(const char *what, struct braid_topology **out); /* NULL: this */
void braid_topology_close(struct braid_topology **topology);

/* Where every worker and I/O thread goes. */
struct braid_pin_thread {
  char name[16];    /* "worker0", "io0" */
  char *cpuset;     /* hwloc list syntax, "0-1"; NULL: not bound */
  int numa;         /* NUMA node for its memory; -1: not bound */
  const char *kind; /* static: "performance", "efficiency" or "mixed"; NULL: not bound, or all processors are alike */
};
/* One kind of processor of a hybrid machine. */
struct braid_pin_kind {
  const char *name; /* static: "performance" for the fastest kind, "efficiency" for every other */
  char *cpuset;     /* hwloc list syntax */
};
struct braid_pin {
  int n_workers, n_io;
  struct braid_pin_thread *worker, *io;
  int n_kinds; /* 0: all processors are alike, as far as the system tells */
  struct braid_pin_kind *kind; /* the fastest first */
  int n_warnings;
  char **warning; /* what of the config does not fit the machine and what is done instead; each is logged, too */
  bool applies;   /* false for a foreign topology: shown, not bound */
};
/* `config`: a YAML file (docs/pinning.md), or NULL for the default: `workers` workers (0: one a core), bound to the
 * fastest cores when there are at least as many cores as workers. On this machine no thread is placed outside of the
 * processors that the process was bound to or allowed (cpuset) when the topology was opened. A config that asks for what
 * the machine has not is taken as far as it goes, with a warning. BRAID_EINVAL: a config that is not valid, with line
 * and column for YAML errors, or that places another number of workers than `workers`. The caller destroys *out. */
BRAID_NODISCARD enum braid_status braid_pin_plan(const struct braid_topology *topology, const char *config, int workers,
                                                 struct braid_pin **out);
void braid_pin_destroy(struct braid_pin **pin);
/* Binds the calling thread; failing to bind is logged once and otherwise ignored. */
void braid_pin_this_thread(const struct braid_pin_thread *where);

/* ---------------------------------------------------------------------------------------------- trace
 * What ran when, in memory until written as Chrome trace JSON (opens in Perfetto). Recording is wait-free per
 * thread; times are CLOCK_MONOTONIC of this machine. `braid timeline` joins the traces of an edge and a cloud on one
 * clock. */
struct braid_trace;
BRAID_NODISCARD enum braid_status braid_trace_create(const char *process_name, size_t max_events,
                                                     struct braid_trace **out);
void braid_trace_destroy(struct braid_trace **trace);
/* A lane is one row of the picture; threads record to their own lanes only. Returns the lane's number. */
int braid_trace_lane(struct braid_trace *trace, const char *name);
void braid_trace_span(struct braid_trace *trace, int lane, const char *name, uint64_t frame, int node,
                      struct braid_band band, int64_t begin_ns, int64_t end_ns); /* name borrowed; NULL trace: no-op */
/* What the frame that spans call `frame` is between two processes. */
struct braid_trace_wire {
  uint64_t session; /* a cloud's number of the edge; 0 at an edge */
  uint32_t epoch;
  uint64_t number; /* in messages: unique within session and epoch */
};
/* A frame from its beginning to its end here. Wait-free; NULL trace: no-op. */
void braid_trace_frame(struct braid_trace *trace, uint64_t frame, const struct braid_trace_wire *wire, int64_t begin_ns,
                       int64_t end_ns);
/* A metadata event of that name whose args are `args`, the text of a JSON object; both are copied. Any thread, takes a
 * lock. At most 4096 notes and 32 MiB are kept. NULL trace: no-op. */
void braid_trace_note(struct braid_trace *trace, const char *name, const char *args);
BRAID_NODISCARD enum braid_status braid_trace_write(const struct braid_trace *trace, const char *path);

/* --------------------------------------------------------------------------- kernels by measurement
 * Which kernel is the fastest for a convolution on this machine, where a search has found a faster one than the table's
 * rules take. A convolution is known by its operator, types, shapes and attributes and by how its node is cut,
 * whatever network it is in. What was not measured, or names a kernel that is not there or cannot compute it, goes by the
 * rules. */
struct braid_choices;
/* None yet, among the kernels that cpu_flags allow. The caller destroys *out. */
BRAID_NODISCARD enum braid_status braid_choices_create(uint32_t cpu_flags, struct braid_choices **out);
void braid_choices_destroy(struct braid_choices **choices);
int braid_choices_count(const struct braid_choices *choices);
/* From a file that braid_choices_write has made. BRAID_ENOTFOUND: there is none. BRAID_EFORMAT: damaged.
 * BRAID_EMISMATCH: of another CPU or of a Braid with other kernels. Errors name the file and what to do. */
BRAID_NODISCARD enum braid_status braid_choices_read(const char *path, uint32_t cpu_flags, struct braid_choices **out);
/* Makes missing folders and replaces the file in one step. */
BRAID_NODISCARD enum braid_status braid_choices_write(const struct braid_choices *choices, const char *path);
/* The user's file: $XDG_CACHE_HOME/braid/kernels.json, or ~/.cache/braid/kernels.json. BRAID_ENOTFOUND: neither is
 * known. */
BRAID_NODISCARD enum braid_status braid_choices_path(char *buf, size_t size);

struct braid_tune_opts {
  int workers; /* nodes are cut for so many, as in a program without a plan */
  const struct braid_pin *pin;
  uint32_t cpu_flags;
  int passes; /* 0: 3 */
  bool (*progress)(void *ctx, int done, int total); /* may be NULL; false: stop */
  void *ctx;
};
/* Nodes that are the same convolution. Times are of all of them together, in one run of the network. */
struct braid_tuned_layer {
  char *key;
  int nodes, tried; /* tried: kernels that can compute it */
  const char *rule, *chosen; /* kernels' names, static */
  int64_t rule_ns, chosen_ns;
};
struct braid_tuning {
  int n;
  struct braid_tuned_layer *layer;
  int64_t rule_ns, chosen_ns; /* whole runs, in turns, the shortest */
  size_t rule_packed_bytes, chosen_packed_bytes;
};
/* Searches the fastest kernel for every convolution of the graph: tries all that can compute it, inside runs of the
 * whole network, after their answers were compared with those of the portable kernels. Writes what is faster than by the
 * rules into `choices`, and takes out what is no longer. Blocks: some hundred runs of the network. BRAID_ECLOSED: progress
 * said stop; `choices` may have changed then. The caller destroys *out. */
BRAID_NODISCARD enum braid_status braid_tune(const struct braid_graph *graph, const struct braid_tune_opts *opts,
                                             struct braid_choices *choices, struct braid_tuning **out);
void braid_tuning_destroy(struct braid_tuning **tuning);

/* ----------------------------------------------------------------------------- pool, program, frames
 * A pool is worker threads and one heap of ready tasks. A program is a sealed graph under a plan compiled for one
 * site: tasks (node x slice) with dependency counts and ranks, kernels with packed weights for this site's nodes only, a
 * memory plan, `frames` arenas. A frame is one inference in one arena. Several programs (epochs) share a pool. */
struct braid_pool;
struct braid_program;
struct braid_frame;

struct braid_pool_opts {
  int workers;                 /* >= 1 */
  const struct braid_pin *pin; /* NULL: not bound; copied */
  const char *name;            /* thread names and trace lanes, e.g. "edge" */
  double slow; /* emulated slower device: every task takes `slow` (>= 1) times as long (the worker sleeps); 0: 1 */
  struct braid_trace *trace;   /* may be NULL; outlives the pool */
  const struct braid_choices *choices; /* for all its programs; NULL: by the rules; outlives the pool */
};
BRAID_NODISCARD enum braid_status braid_pool_create(const struct braid_pool_opts *opts, struct braid_pool **out);
void braid_pool_destroy(struct braid_pool **pool); /* programs first */
int braid_pool_workers(const struct braid_pool *pool);
/* Packed weights of all its programs. Programs of one graph share them, so this is less than the sum of their
 * packed_bytes; they go with the last program that uses them. Any thread. */
size_t braid_pool_packed_bytes(struct braid_pool *pool);
/* Arenas and scratch of all its programs, and what of them is kept for the next (struct braid_arenas). Any thread. */
size_t braid_pool_arena_bytes(const struct braid_pool *pool);
void braid_pool_trim(struct braid_pool *pool); /* frees what is kept. Any thread */
struct braid_pool_stats {
  int workers, ready;    /* ready: tasks that wait for a worker */
  int64_t busy_ns;       /* of all workers together, running tasks */
  uint64_t tasks;        /* that have run */
};
/* Any thread; waits for a moment at most. */
void braid_pool_stats(struct braid_pool *pool, struct braid_pool_stats *out);

/* Memory that programs leave to those that come after them: who changes plans often gives all of them the same one, and
 * a new plan costs no page faults. What is kept is never more than what programs use at that time, nor, together with
 * it, more than they have had in use at once. Programs hold it, too: the pool outlives it, the programs may as well. */
struct braid_arenas;
struct braid_arenas_info {
  size_t used_bytes, idle_bytes; /* of programs; kept */
  uint64_t made;                 /* blocks, since it was created: what was not taken from those kept */
};
BRAID_NODISCARD enum braid_status braid_arenas_create(struct braid_pool *pool, struct braid_arenas **out);
void braid_arenas_destroy(struct braid_arenas **arenas);
void braid_arenas_trim(struct braid_arenas *arenas); /* frees what is kept. Any thread, like the next */
void braid_arenas_info(struct braid_arenas *arenas, struct braid_arenas_info *info);

struct braid_program_opts {
  enum braid_site here;
  int frames;         /* arenas; >= 1 */
  uint32_t cpu_flags; /* kernels to choose from; 0: reference, whatever the pool's choices are */
  size_t max_arena_bytes; /* of all arenas: more is BRAID_EBUSY, before anything large is allocated; 0: no limit */
  struct braid_arenas *arenas; /* of the same pool; NULL: they come with the program and go with it */
  bool only_planned;  /* to be asked (braid_program_info, kernel names), never to run: has neither weights nor arenas */
};
/* `plan` NULL: everything here, nodes with much work in as many slices as there are workers. Graph, plan and pool outlive
 * the program (the plan is copied). */
BRAID_NODISCARD enum braid_status braid_program_create(struct braid_pool *pool, const struct braid_graph *graph,
                                                       const struct braid_plan *plan,
                                                       const struct braid_program_opts *opts,
                                                       struct braid_program **out);
void braid_program_destroy(struct braid_program **program); /* all frames ended */
/* On a pool that is slowed: tasks of this program last their share of node_ns[node] (one worker's time for the whole node),
 * slices of a node that is cut into several slice_ns[node] more (NULL: nothing), in place of `slow` times what they took, so that the emulated device is a fixed one: what a sleeping worker loses to cold
 * caches is not the device's. A task that takes longer than that here takes longer. Copied; before the first frame. */
BRAID_NODISCARD enum braid_status braid_program_emulate(struct braid_program *program, const int64_t *node_ns,
                                                        const int64_t *slice_ns);
/* What a profile says of this program's tasks, for braid_program_times to compare with. Copied; before the first frame.
 * braid_program_emulate says it, too. */
BRAID_NODISCARD enum braid_status braid_program_expect(struct braid_program *program, const int64_t *node_ns,
                                                       const int64_t *slice_ns);
/* What tasks really took, since the program was created: sums over the tasks that computed something (views do not
 * count). (run_ns + wait_ns) / profile_ns is how much slower than the profile things go. On an emulated slow device its
 * times. */
struct braid_program_times {
  uint64_t tasks;
  int64_t run_ns;     /* from begin to end on the wall's clock */
  int64_t wait_ns;    /* from ready to begin: for a worker */
  int64_t profile_ns; /* what the same tasks take by braid_program_expect; 0 where that was not called */
  int64_t *node_ns;   /* in: the caller's array [nodes of the graph], or NULL. Out: of each node the average for the
                       * whole node, over all its slices, the newest of its last runs weighing most; 0: not computed
                       * here, or not yet */
};
/* Any thread, at any time; waits for nobody. Figures read while tasks end need not be of the same moment. */
void braid_program_times(const struct braid_program *program, struct braid_program_times *times);
struct braid_program_info {
  size_t arena_bytes;       /* one frame */
  size_t arena_bound_bytes; /* the most that tensors may take that are live at once, in any order that the tasks may run
                             * in: no arena can be smaller */
  size_t packed_bytes; /* weights of this program's nodes, whether or not others share them */
  size_t scratch_bytes; /* of all workers */
  int tasks;
};
void braid_program_info(const struct braid_program *program, struct braid_program_info *info);
/* "view" for a node that only places memory; NULL: not computed here. */
const char *braid_program_kernel_name(const struct braid_program *program, int node);
/* Does this site expect rows of `node` from outside (graph inputs on the edge; crossing tensors)? Does it hand rows of it
 * to the other site (crossing tensors; graph outputs at the edge stay: read them when the frame is done)? */
bool braid_program_receives(const struct braid_program *program, int node);
bool braid_program_sends(const struct braid_program *program, int node);

/* Called by workers (and by the thread that calls braid_frame_arrived), never while a pool lock is held; must not
 * block. */
struct braid_frame_events {
  /* Rows `band` of `node`, which this site sends, are computed and readable until braid_frame_end. In a serial plan on the
   * edge: only once every task of the frame has run. */
  void (*rows_ready)(void *ctx, struct braid_frame *frame, int node, struct braid_band band);
  /* Every task has run, every expected row has arrived and every rows_ready has returned. Once per frame. */
  void (*done)(void *ctx, struct braid_frame *frame);
};
/* Takes a free arena. BRAID_EBUSY when none is free. `number` names the frame in traces and messages; of all frames in
 * the pool the tasks of the one with the smallest `order` are the most urgent. Source tasks without inputs become ready
 * at once. */
BRAID_NODISCARD enum braid_status braid_frame_begin(struct braid_program *program, uint64_t number, uint64_t order,
                                                    const struct braid_frame_events *events, void *ctx,
                                                    struct braid_frame **out);
uint64_t braid_frame_number(const struct braid_frame *frame);
void *braid_frame_ctx(const struct braid_frame *frame);
struct braid_program *braid_frame_program(const struct braid_frame *frame);
/* The tensor of a node that is computed here or received here; data NULL for others. Received ones: write rows, then
 * announce them. Contents of others are defined only for nodes in braid_program_sends or graph outputs. */
struct braid_tensor braid_frame_tensor(const struct braid_frame *frame, int node);
/* BRAID_OK when all of these rows are still awaited; else as braid_frame_arrived would answer. A row that has arrived may
 * lie in memory that another tensor uses by now: whoever writes rows from an untrusted peer asks first, on the one thread
 * that writes. */
BRAID_NODISCARD enum braid_status braid_frame_expects(const struct braid_frame *frame, int node,
                                                      struct braid_band band);
/* Rows of a received tensor are in place. BRAID_ECLOSED: aborted. BRAID_EPROTO: not a received node, out of range, or rows that had arrived
 * already (nothing changes then). May be called from any thread. */
BRAID_NODISCARD enum braid_status braid_frame_arrived(struct braid_frame *frame, int node, struct braid_band band);
/* Gives the arena back. Only after `done`, or after braid_frame_abort. */
void braid_frame_end(struct braid_frame **frame);
/* No further tasks of this frame start; returns when running ones and events have ended. No event is called afterwards. Then
 * end it. Not from an event of the same frame. */
void braid_frame_abort(struct braid_frame *frame);
/* The same without waiting: true when nothing of it runs any more, and it may be ended; else ask again. */
bool braid_frame_stop(struct braid_frame *frame);

/* One inference, blocking: copies inputs in, waits, copies outputs out. in: one per graph input, out: one per graph
 * output, in the graph's order, memory by the caller; shapes and types are checked. For programs with everything here. */
BRAID_NODISCARD enum braid_status braid_program_run(struct braid_program *program, const struct braid_tensor *in,
                                                    int n_in, const struct braid_tensor *out, int n_out);

/* Times every node inside whole runs of the network with one worker (so in the cache state it will meet): first warming
 * up, then median of `repeat` runs, multiplied by `slow`; likewise what slices take beyond their share, in runs that
 * stream slices through the network. */
struct braid_profile_opts {
  int repeat; /* 0: 10 */
  uint32_t cpu_flags;
  const struct braid_choices *choices; /* as of a pool */
  double slow;
  const struct braid_pin *pin;
  void (*progress)(void *ctx, int done, int total);
  void *ctx;
};
BRAID_NODISCARD enum braid_status braid_profile_measure(const struct braid_graph *graph,
                                                        const struct braid_profile_opts *opts,
                                                        struct braid_profile **out);

/* ------------------------------------------------------------------------------------- the two processes */

/* Models that edges bring: files DIR/uploaded/SHA256.onnx, bounded in bytes and number, found again by whoever opens the
 * store next. Folders are made. What others left half-done is removed; several clouds may share a folder (each counts what
 * is there). BRAID_EIO names the path. A store is for one cloud, and outlives it and its trace. */
struct braid_store_opts {
  const char *dir;
  size_t max_model_bytes; /* of one; 0: 512 MiB */
  size_t quota_bytes;     /* of all in the folder; 0: 4 GiB */
};
struct braid_store;
BRAID_NODISCARD enum braid_status braid_store_open(const struct braid_store_opts *opts, struct braid_store **out);
void braid_store_close(struct braid_store **store);

/* A frame's results where a plan wants them in the cloud (braid_plan.deliver). Everything is valid during the call
 * only. */
#define BRAID_RUN_CHARS 16
struct braid_result {
  const char *edge;  /* name of its key; without keys its address; "": not known. Printable, but no file name */
  const char *model; /* as the edge asked for it; likewise */
  const char *run;   /* BRAID_RUN_CHARS lower-case hexadecimal digits, drawn anew whenever an edge starts */
  uint64_t frame;    /* as the edge's caller numbered it */
  uint32_t epoch;    /* number of the plan */
  const struct braid_graph *graph;
  int n_out;
  const struct braid_tensor *out; /* graph's output order */
};
/* "RUN-FRAME": the name of a frame's results wherever they end up. A frame whose cloud has gone before the edge knew
 * is finished by the edge, too: who takes results on both sides drops the second of a name. Of one name the cloud
 * delivers once, unless an edge numbers two frames alike. */
#define BRAID_RESULT_ID_BYTES (BRAID_RUN_CHARS + 22)
void braid_result_id(const char *run, uint64_t frame, char id[BRAID_RESULT_ID_BYTES]);

struct braid_cloud_opts {
  const char *listen; /* link URI; "join+..." to be a broker's worker */
  const struct braid_link_keys *keys; /* NULL: in the clear; not used after start */
  bool allow_clear;                   /* in the clear even where other machines can reach it */
  /* Finds a model for an edge: by name, then the caller checks the hash. BRAID_ENOTFOUND: nothing of that name (the store
   * may have it). Called on the I/O thread. The graph stays the resolver's and outlives the cloud. */
  enum braid_status (*resolve)(void *ctx, const char *name, const struct braid_graph **out);
  /* Its profile on this machine (measured or read); the caller frees it. Also of networks from the store. Called on
   * another thread than resolve. */
  enum braid_status (*profile)(void *ctx, const struct braid_graph *graph, struct braid_profile **out);
  /* One line per event (edge joined, plan accepted, edge left, refused, ...). May be NULL. */
  void (*event)(void *ctx, const char *kind, const char *text);
  /* Takes results. Their consumer has them when it returns BRAID_OK, which the edge is then told; with any other
   * status the session ends for that reason, and the edge keeps the frame. On a thread of its own, one frame at a
   * time: while it takes its time, frames of plans that deliver here wait for arenas, everything else goes on. NULL:
   * such plans are refused. */
  enum braid_status (*result)(void *ctx, const struct braid_result *result);
  void *ctx;
  int threads;
  uint32_t cpu_flags;
  const struct braid_choices *choices; /* as of a pool */
  const struct braid_pin *pin;
  double slow;
  struct braid_trace *trace;
  int64_t heartbeat_ns; /* 0: 500 ms; a peer silent for two of them is gone */
  /* Limit on arenas and packed weights of all sessions, and on models from the store; 0: none, with a store half of the
   * machine's memory. */
  size_t memory_bytes;
  size_t max_payload_bytes; /* of one message; 0: 64 MiB */
  int max_sessions;     /* 0: 64 */
  /* What one edge may have: told apart by the name of its key, without keys by its address. 0: no limit of its own. */
  int max_sessions_per_edge;
  size_t session_memory_bytes; /* arenas of one session */
  double max_frames_per_s;     /* of one session: more wait, and their credit with them */
  struct braid_store *store;   /* edges may bring models, which go there; NULL: they may not */
};
struct braid_cloud;
BRAID_NODISCARD enum braid_status braid_cloud_start(const struct braid_cloud_opts *opts, struct braid_cloud **out);
const char *braid_cloud_address(const struct braid_cloud *cloud);
/* Takes no new session from now on and tells its edges, which send new frames elsewhere, let those in flight be finished here,
 * and leave. Returns at once; stop when nobody is left, or when it has taken too long. Any thread. */
void braid_cloud_drain(struct braid_cloud *cloud);
struct braid_cloud_stats {
  int sessions;
  bool draining;
  uint64_t joined, refused, lost; /* sessions that began; those turned away or ended for what they did; that broke */
  uint64_t frames, bytes_up, bytes_down; /* of all sessions, those that have ended included */
  uint64_t delivered;                    /* frames whose results were taken here, likewise */
  size_t memory_bytes, memory_limit_bytes; /* arenas and packed weights; 0: no limit */
  struct braid_pool_stats pool;
  double load;                           /* share of the workers' time that sessions took lately */
  uint64_t turns; /* of the I/O thread, at least one a second: a process whose turns stand still hangs */
};
/* Any thread; a moment old at most. */
void braid_cloud_stats(struct braid_cloud *cloud, struct braid_cloud_stats *out);
void braid_cloud_stop(struct braid_cloud **cloud); /* tells its edges, ends its threads */

/* Many clouds behind one address. Edges connect to `listen` as to any cloud; clouds join at `workers` (they listen at
 * "join+tcp://..."), at any time, and leave by draining or dying. Every session goes to the least loaded worker and stays there;
 * when that goes, its edges are told and come again. */
struct braid_broker_opts {
  const char *listen, *workers; /* link URIs */
  const struct braid_link_keys *keys, *worker_keys; /* of the listener for edges, for workers; NULL: in the clear; not used after start */
  bool allow_clear;         /* in the clear even where other machines can reach it */
  size_t max_payload_bytes; /* of one message; 0: 64 MiB; as the workers' */
  int64_t heartbeat_ns;     /* 0: 500 ms; a worker silent for two of them is gone */
  void (*event)(void *ctx, const char *kind, const char *text); /* as a cloud's; may be NULL */
  void *ctx;
};
struct braid_broker;
struct braid_broker_stats {
  int workers, sessions;
  uint64_t messages, bytes; /* payloads; both ways */
  uint64_t turns;           /* of the I/O thread: see braid_cloud_stats */
};
BRAID_NODISCARD enum braid_status braid_broker_start(const struct braid_broker_opts *opts, struct braid_broker **out);
const char *braid_broker_address(const struct braid_broker *broker);
const char *braid_broker_workers_address(const struct braid_broker *broker);
void braid_broker_stats(struct braid_broker *broker, struct braid_broker_stats *out); /* any thread */
void braid_broker_stop(struct braid_broker **broker); /* edges are told, and find another way or go on alone */

/* How long things took: between one bound and the next, and above the last. */
#define BRAID_HISTOGRAM_BOUNDS 14
extern const int64_t braid_histogram_bound_ns[BRAID_HISTOGRAM_BOUNDS]; /* 1 ms to 20 s, ascending */
struct braid_histogram {
  uint64_t count[BRAID_HISTOGRAM_BOUNDS + 1];
  int64_t sum_ns;
};
void braid_histogram_add(struct braid_histogram *histogram, int64_t ns);

enum braid_fallback {
  BRAID_FALLBACK_AUTO,  /* a cloud that dies is bridged: frames in flight and new ones are finished on the edge */
  BRAID_FALLBACK_START, /* and frames start without one */
  BRAID_FALLBACK_OFF    /* a cloud that dies ends the edge */
};

struct braid_edge_opts {
  const char *connect; /* link URI; several with commas between them: the first that answers, then whichever does */
  const struct braid_link_keys *keys; /* NULL: in the clear; they outlive the edge */
  const char *model;   /* name the cloud will look up */
  /* The file that the graph was opened from (one file, without external data), and the batch that it was opened with (0:
   * 1): sent to a cloud that does not have the model, and allows it. NULL: never. Read through at start, and kept open. */
  const char *upload;
  int upload_batch;
  int threads;
  uint32_t cpu_flags;
  const struct braid_choices *choices; /* as of a pool */
  const struct braid_pin *pin;
  double slow;
  struct braid_trace *trace;  /* may be NULL; outlives the edge, and knows its clouds' clocks when that has stopped */
  int64_t heartbeat_ns;       /* 0: 500 ms */
  int64_t connect_timeout_ns; /* 0: 5 s */
  enum braid_fallback fallback;
  /* The plan: given (copied), or decided by `policy` from the two profiles and the link. */
  const struct braid_plan *plan;
  const struct braid_policy *policy; /* NULL: decc */
  struct braid_goal goal;
  const struct braid_profile *profile; /* of this machine, outlives the edge (so do goal.pinned and pin); NULL: measured */
  struct braid_link_cost up, down;     /* bits_per_s 0: measured by a short probe when connecting */
  int window;                          /* frames in flight; 0: 1 for latency, the plan's for throughput */
  /* Without `plan`: decide again as the link, the cloud's load and this machine's speed change, and switch when that pays
   * (braid_adapt). They are read off the traffic; only a link that nothing uses is probed. With a fallback, and latency
   * as the goal, frames whose answer is late are also finished here; the first answer counts. */
  bool adapt;
  double bridge; /* late is so many times the forecast; 0: 1.25; < 0: never. For a minute after a late one: at once */
};
struct braid_edge;
struct braid_answer {
  uint64_t frame;
  uint32_t epoch; /* number of the plan that it ran under; 0: alone, without a cloud */
  int64_t submitted_ns, answered_ns;
  enum braid_site delivered; /* BRAID_CLOUD: the results are with a consumer there, and not here: n_out is 0 */
  int n_out;
  struct braid_tensor *out; /* graph's output order; owned by the answer */
};
struct braid_edge_stats {
  uint64_t frames, answered, lost, duplicates, bytes_up, bytes_down;
  uint64_t replans;    /* plans taken after the first */
  uint64_t fallbacks;  /* times that the edge had to go on alone */
  uint64_t alone;      /* frames that it answered, or finished, without a cloud */
  uint64_t reconnects; /* times that it came back */
  uint64_t bridged;    /* frames that were late, and that the edge finished before the cloud's answer */
  uint64_t delivered;  /* frames whose results are with a consumer in the cloud */
  double rate_bits_per_s;   /* of the uplink, as the traffic shows it lately; 0: not known */
  double down_bits_per_s;   /* of the downlink, as the cloud reports it; 0: not known, or no cloud */
  int64_t rtt_ns;           /* shortest lately */
  int in_flight, window;    /* frames; the window of the plan in force */
  bool connected;           /* new frames go to a cloud, or could */
  bool draining;            /* the cloud is about to stop */
  const char *cloud;        /* address of the one that it is connected to, valid until stop; NULL: none */
  uint32_t epoch;           /* of the plan that the next frame takes, of a mix its first part; 0: alone */
  /* The cloud, as it reports itself every heartbeat; 0: not known, or no cloud. Its tasks take so many times longer
   * than its profile says, waiting for other edges' included; so much of its workers' time all its edges take, 0 to 1.
   */
  double cloud_load, cloud_busy;
  struct braid_pool_stats pool; /* this machine's workers */
  uint64_t turns;           /* of the I/O thread: see braid_cloud_stats */
  struct braid_histogram latency; /* of all answers, from submission */
};
/* Connects, agrees on the model (by hash; sends it where both sides allow that), plans, and waits until the cloud has the plan. BRAID_ETIMEDOUT: nobody answered;
 * BRAID_EMISMATCH: another network under that name; BRAID_ECLOSED: refused. With BRAID_FALLBACK_START none of these is a
 * failure.
 *
 * With a fallback the edge holds the whole network compiled. When the cloud goes, says goodbye, falls silent or refuses to go
 * on, every frame in flight is finished here from what has been computed and has arrived, new frames run here, and the
 * edge tries again and again to get back to one of its clouds; no call fails, no frame is lost. A network that does not fit
 * goal.edge_memory has no fallback. */
BRAID_NODISCARD enum braid_status braid_edge_start(const struct braid_graph *graph, const struct braid_edge_opts *opts,
                                                   struct braid_edge **out);
/* What this start of the edge is called in the names of results (braid_result_id); valid until stop. */
const char *braid_edge_run(const struct braid_edge *edge);
/* The first one, with forecast; valid until stop. */
const struct braid_plan *braid_edge_plan(const struct braid_edge *edge);
/* A copy of the plan that the next frame takes. */
BRAID_NODISCARD enum braid_status braid_edge_plan_now(const struct braid_edge *edge, struct braid_plan **out);
/* Agrees on another plan and puts it in force: `plan` (copied), or what the policy decides now (NULL). Returns when the
 * next frame will take it; frames in flight end under the plan they began with. Any thread; may take as long as compiling
 * does. BRAID_ECLOSED: there is no cloud just now, or it has gone meanwhile. */
BRAID_NODISCARD enum braid_status braid_edge_replan(struct braid_edge *edge, const struct braid_plan *plan);
/* Blocks while the window is full. Inputs are copied. `frame`: any number up to 2^63 - 1; of frames that are delivered
 * in the cloud no two may have the same. After the link has broken without a fallback: BRAID_ECLOSED. */
BRAID_NODISCARD enum braid_status braid_edge_submit(struct braid_edge *edge, uint64_t frame,
                                                    const struct braid_tensor *in, int n_in);
/* The next answer in order of submission. BRAID_ETIMEDOUT; BRAID_ECLOSED when the link has broken, without a fallback, and no
 * answer is left. */
BRAID_NODISCARD enum braid_status braid_edge_wait(struct braid_edge *edge, int64_t timeout_ns,
                                                  struct braid_answer **out);
void braid_answer_destroy(struct braid_answer **answer);
void braid_edge_stats(const struct braid_edge *edge, struct braid_edge_stats *stats);
void braid_edge_stop(struct braid_edge **edge);

/* ------------------------------------------------------------------------------------------ calibration
 * Ranges of all tensors of a sealed float32 graph while it computes sample inputs: what braid_graph_lower needs for int8.
 * One thread. A calibration keeps every tensor of a frame in memory. */
struct braid_calibration;
enum braid_calibration_method {
  BRAID_CALIBRATE_MINMAX,     /* the least and the greatest value */
  BRAID_CALIBRATE_PERCENTILE, /* so many of a hundred values are inside [-t, t]; larger ones are cut down to it */
  BRAID_CALIBRATE_ENTROPY     /* the t that loses least information (Kullback-Leibler divergence) */
};
struct braid_calibration_opts {
  uint32_t cpu_flags; /* as of a program */
  enum braid_calibration_method method;
  double percentile; /* with PERCENTILE: above 0, at most 100 */
};
/* "minmax", "percentile", "entropy". */
bool braid_calibration_find(const char *name, enum braid_calibration_method *out);
/* Pool and graph outlive it. 16 KiB a tensor besides where values are counted. BRAID_EINVAL: a wrong percentile. */
BRAID_NODISCARD enum braid_status braid_calibration_create(struct braid_pool *pool, const struct braid_graph *graph,
                                                           const struct braid_calibration_opts *opts,
                                                           struct braid_calibration **out);
/* One sample: a tensor for each graph input. */
BRAID_NODISCARD enum braid_status braid_calibration_observe(struct braid_calibration *calibration,
                                                            const struct braid_tensor *in, int n_in);
/* One range a node of the graph, from all samples so far; owned by the calibration, good until the next call. Entropy
 * takes some milliseconds a tensor. */
const struct braid_range *braid_calibration_ranges(struct braid_calibration *calibration);
void braid_calibration_destroy(struct braid_calibration **calibration);

BRAID_END_DECLS
#pragma GCC visibility pop
#endif
