/* SPDX-License-Identifier: Apache-2.0
 * The edge process from the inside. Three kinds of threads:
 *   callers        start, submit, wait (edge.c, frames.c)
 *   I/O thread     owns the link that is open, and the frames in flight (link.c; twin.c when the link has broken)
 *   planner        holds the conversation as blocking steps: connect, decide, agree, switch (planner.c, line.c,
 * route.c) A line is one connection to one cloud, a route one plan in force over it. New frames take the current route.
 * Without a cloud that is `alone`: everything here. Private to runtime/edge. */
#ifndef EDGE_EDGE_H
#define EDGE_EDGE_H

#include "session/hello.h"
#include "session/numbers.h"
#include "session/stream.h"

enum {
  ALONE_EPOCH = 0,
  FIRST_EPOCH = 1,
  FIRST_FRAME = 1,
  EDGE_ERROR_BYTES = 512,
  EDGE_PROBE_PINGS = 6,
  EDGE_MAX_PARTS = 4,   /* of a mix */
  EDGE_WARM_ROUTES = 4, /* besides the current one: plans come back */
  EDGE_MAX_TARGETS = 16
};

/* A frame that was submitted and whose answer has not been taken yet. */
struct request {
  struct braid_answer *answer;
  uint64_t number; /* 1, 2, ...: over all routes */
  bool answered;
  struct request *next; /* in order of submission */
};

/* Questions to the link: the planner fills in sizes, the I/O thread sends and notes when the answers come. */
struct probe {
  int n, sent, back;
  struct {
    size_t up_bytes, down_bytes, got_bytes;
    int64_t stamp_ns, back_ns;
  } ping[EDGE_PROBE_PINGS];
};

/* What the traffic has shown since the planner looked last; rates that were worse in between are not forgotten. */
struct seen {
  bool news;
  double up_worst, down_worst;
  struct braid_observation now;
};

/* The I/O thread's watch over a line (watch.c): what was seen last, and the probe of an idle link. */
struct watch {
  uint64_t n_samples;
  double down, rtt_ns, load;
  int64_t look_ns;
  bool out, up; /* a probe is under way; which way */
  int back;     /* of its two pings */
  int64_t stamp_ns[2], begun_ns, first_ns, late_ns, probe_ns;
};

/* upload.c: the model's file, and how much of it a cloud has. */
struct edge_file {
  int fd; /* -1: none is offered */
  uint64_t bytes;
  char sha256[65];
  int batch;
};
struct edge_upload {
  uint64_t asked, sent, has; /* bytes: the cloud takes, are sent, it has on its disk */
  uint64_t parts, wants;     /* messages */
  struct braid_msg part;     /* packed, the link had no room for it */
};

/* Of one cloud: its circuit breaker. */
struct target_state {
  int failures;           /* one after the other */
  int64_t rests_until_ns; /* left out so long */
};

/* Made and freed by the planner. Between edge_line_open and `let_go` the link belongs to the I/O thread. The channel
 * outlives the link: rows that did not leave any more wait in it for a twin. */
struct line {
  const char *address; /* one of edge->target */
  struct braid_link *link;
  struct channel channel;
  struct braid_msg hello;          /* I/O thread: until it could be sent */
  struct watch watch;              /* I/O thread */
  struct edge_upload upload;       /* I/O thread */
  struct braid_clock_filter clock; /* I/O thread: the cloud's */
  char id[HELLO_TRACE_BYTES];      /* what both traces call this session; "" without a trace */
  int64_t caution_ns;              /* I/O thread: until then no answer is waited for (rescue.c) */
  int n_routes;                    /* planner: that use the channel */
  int64_t since_ns;                /* planner: since when frames go over it; 0: none have */
  struct line *next_old;           /* planner */
  int64_t paced_ns;                /* planner: PLANs are spread over time */
  struct braid_link_cost up, down; /* planner: measured; bits_per_s 0: not yet */
  /* --- under edge->mutex */
  bool heard, welcomed; /* the cloud has: said anything, sent WELCOME */
  uint64_t wanted;      /* WANTs: while there are more of them WELCOME may take its time */
  uint32_t planned;     /* the last epoch with a PLAN_OK */
  char *welcome;        /* WELCOME's text */
  int cloud_workers;
  struct braid_msg post;    /* PLAN, for the I/O thread to send; type 0: none */
  struct probe *probe;      /* NULL: none under way */
  bool draining;            /* the cloud is about to stop: no new frames, if they can go elsewhere */
  bool quit;                /* the planner is through with it */
  bool bridged;             /* broken, and its routes have their twins */
  enum braid_status broken; /* BRAID_OK while it is up */
  char why[EDGE_ERROR_BYTES];
};

/* One plan of a mix, an epoch. */
struct part {
  struct stream *spare;         /* the cloud's half, for frames that are late; NULL: none */
  struct stream *stream, *twin; /* twin: the I/O thread's from line->bridged on */
  bool told;                    /* the cloud has to know of it: it has something to do */
  int flying;                   /* mutex: frames that have entered and are not answered, and ghosts */
  int ghosts;                   /* mutex: frames that are answered, but not by the cloud yet */
  uint64_t number;              /* submitting: of the next frame on the wire */
};

/* A plan in force. The planner makes it, callers put frames on it while it is current, the I/O thread serves it until
 * it is retired and empty, and the planner frees it. */
struct route {
  struct line *line; /* NULL: alone */
  struct braid_plan *plan;
  int window, n_parts;
  struct part part[EDGE_MAX_PARTS];
  bool crosses;        /* something travels */
  uint32_t last_epoch; /* planner: the last one that the cloud was told; 0: none */
  bool agreed;         /* planner */
  /* --- under mutex */
  double credit[EDGE_MAX_PARTS];
  int next_part; /* of the mix, for the next frame */
  bool retired;
  bool handed;              /* the I/O thread has it, or will: once and for all */
  int filling;              /* callers that are putting a frame on it */
  struct route *next;       /* in one of edge's lists */
  struct route *next_known; /* planner: all there are */
};

/* braid_edge_replan, from the caller to the planner. */
struct replan {
  const struct braid_plan *plan;
  bool done;
  enum braid_status status;
  char why[EDGE_ERROR_BYTES];
};

struct braid_edge {
  struct braid_edge *self; /* for functions that promise not to change what the caller sees, but lock */
  const struct braid_graph *graph;
  struct braid_edge_opts opts; /* strings and plan in it are not used after start */
  char *targets, *target[EDGE_MAX_TARGETS], *model;
  int n_targets;
  struct target_state target_state[EDGE_MAX_TARGETS]; /* planner */
  int threads;
  struct edge_file file;
  struct braid_pin_thread io_place;
  struct io io;
  struct channel home;  /* no link: frames that stay here */
  struct channel aside; /* no link: rows of spares */
  bool has_home, has_aside;
  struct braid_pool *pool;
  struct braid_arenas *arenas; /* of its programs; NULL: nothing is kept (edge_memory) */
  pthread_t io_thread, planner_thread;
  bool io_started, planner_started;
  atomic_bool stop;

  /* --- under submitting, which is held while a frame is handed over: frames enter one by one */
  pthread_mutex_t submitting;

  /* --- I/O thread */
  struct line *io_line;                        /* the one whose link is open */
  struct route *serving;                       /* has or may get frames in flight */
  uint64_t bytes_up_before, bytes_down_before; /* of lines that are gone */

  /* --- planner; before it starts and after it has ended, the caller */
  char run[BRAID_RUN_CHARS + 1];
  struct braid_plan *given;      /* copy of opts.plan */
  struct braid_profile *profile; /* of this machine, measured */
  int64_t *emulate_ns;           /* [n_nodes] times of the emulated device; NULL: none */
  int64_t *emulate_slice_ns;     /* the second half of emulate_ns: more for each slice */
  struct braid_plan *first_plan;
  struct line *planner_line;        /* NULL: none */
  struct line *old_lines;           /* broken; their last frames are being finished */
  char last_news[EDGE_ERROR_BYTES]; /* why the last attempt to come back failed */
  struct route *known;              /* every route that is not freed, newest first */
  struct route *warm[EDGE_WARM_ROUTES];
  uint32_t next_epoch;
  uint64_t n_backoffs;
  struct braid_adapt *adapt;        /* NULL: the plan stays until somebody asks for another */
  struct braid_adapt_stats adapted; /* at the last switch */
  struct route *proposed;           /* by adaptation; the cloud has not answered yet */
  int64_t adapt_ns;                 /* not before then again */
  struct sight_costs *costs;        /* of the plans, for the trace; NULL: not known */
  struct {
    int64_t run_ns, profile_ns;
  } worked; /* by this machine, up to the last look */

  /* --- under mutex; `changed` is broadcast */
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  struct line *line;      /* for the I/O thread to serve; it takes a broken one out */
  struct route *incoming; /* for the I/O thread to serve */
  struct route *bin;      /* for the planner to free */
  struct route *current;  /* where new frames go; NULL: they wait */
  struct route *alone;    /* NULL: a cloud that dies is not bridged */
  struct replan *replan;
  bool started; /* the first route is there */
  bool planner_gone;
  bool ending;              /* the planner is to come to an end */
  enum braid_status broken; /* for good */
  char why[EDGE_ERROR_BYTES];
  bool settled; /* broken, and no frame is in flight any more */
  int flying;   /* over all routes */
  struct request *first, **last;
  uint64_t next_number;
  struct numbers answered; /* .low is the oldest frame without an answer */
  int filling;             /* threads that copy inputs into a frame */
  struct braid_edge_stats stats;
  struct seen seen;
};

/* ------------------------------------------------------------------------------------------------ I/O thread */

/* link.c */
void *edge_io_main(void *edge);

/* upload.c: the file is opened by the caller of start, the rest is the I/O thread's */
BRAID_NODISCARD enum braid_status edge_file_open(const char *path, int batch, struct edge_file *file);
void edge_file_close(struct edge_file *file);
BRAID_NODISCARD enum braid_status edge_hear_want(struct braid_edge *edge, struct line *line,
                                                 const struct braid_msg *msg, int64_t now_ns);
/* Sends what the cloud has asked for, as the link allows. */
BRAID_NODISCARD enum braid_status edge_send_model(struct braid_edge *edge, struct line *line, int64_t now_ns);

/* watch.c: notes what the traffic shows; probes a link that nothing uses. */
BRAID_NODISCARD enum braid_status edge_watch(struct braid_edge *edge, struct line *line, int64_t now_ns);
int64_t edge_watch_sleep_ns(const struct braid_edge *edge, const struct line *line, int64_t now_ns);
/* Was this PONG for it? */
bool edge_watch_pong(struct braid_edge *edge, struct line *line, const struct braid_msg *msg, int64_t now_ns);

/* frames.c: answers what is finished; gives up what is not, after `broken` is set. */
void edge_answer_finished(struct braid_edge *edge);
void edge_lose_frames(struct braid_edge *edge);
void edge_free_requests(struct braid_edge *edge);

/* route.c: retired routes without frames go to the planner's bin. */
BRAID_NODISCARD enum braid_status edge_let_go_idle(struct braid_edge *edge);

/* rescue.c: computes the cloud's part of frames that are late; sleeps no longer than until the next is. */
BRAID_NODISCARD enum braid_status edge_rescue(struct braid_edge *edge, int64_t *sleep_ns);
BRAID_NODISCARD enum braid_status edge_take_data(struct flight *flight, const struct braid_msg *msg);
/* Before the answer is given: was it late? */
void edge_note_answer(const struct braid_edge *edge, const struct route *route, const struct flight *flight, int64_t now_ns);
bool edge_ghost_may_go(const struct route *route, struct flight *flight);

/* twin.c: rows that the other half has not got yet. */
BRAID_NODISCARD enum braid_status edge_hand_over(struct flight *from, struct flight *to, int node,
                                                 struct braid_band band);
/* rows go to and fro between the halves of frames whose cloud has gone. */
BRAID_NODISCARD enum braid_status edge_bridge(struct braid_edge *edge);
void edge_end_mates(struct braid_edge *edge); /* of frames that are answered */
struct flight *edge_mate_of(const struct flight *flight); /* the other half, here; NULL: none */

/* --------------------------------------------------------------------------------------------------- planner */

/* planner.c */
void *edge_planner_main(void *edge);
/* Sets `broken` for good; `braid_error` says why. */
void edge_break(struct braid_edge *edge, enum braid_status status);
/* braid_fail with the reason it broke; under the mutex. */
enum braid_status edge_fail_broken(const struct braid_edge *edge, enum braid_status status);

/* Frames may begin alone, where that is prepared and none have begun: the cloud will take a while. */
BRAID_NODISCARD enum braid_status edge_begin_alone(struct braid_edge *edge);

/* targets.c: the clouds to try, the best first; returns how many. Where there are several it asks them, which takes a
 * moment. */
int edge_targets_choose(struct braid_edge *edge, int order[EDGE_MAX_TARGETS]);
void edge_target_failed(struct braid_edge *edge, const char *address);
void edge_target_served(struct braid_edge *edge, const char *address); /* for a while: it is to be trusted again */

/* line.c: opens a link to `address` and has the I/O thread serve it. */
BRAID_NODISCARD enum braid_status edge_line_open(struct braid_edge *edge, const char *address, struct line **out);
/* HELLO to WELCOME. */
BRAID_NODISCARD enum braid_status edge_line_meet(struct braid_edge *edge, struct line *line, int64_t timeout_ns);
/* PLAN, and waiting for its PLAN_OK. */
BRAID_NODISCARD enum braid_status edge_line_propose(struct braid_edge *edge, struct line *line,
                                                    const struct braid_plan *plan, uint32_t epoch, int window);
BRAID_NODISCARD enum braid_status edge_line_agreed(struct braid_edge *edge, struct line *line, uint32_t epoch);
enum braid_status edge_line_state(struct braid_edge *edge, const struct line *line); /* BRAID_OK while it is up */
enum braid_status edge_fail_line(const struct line *line, enum braid_status status); /* under the mutex */
/* Ends it if it is not broken yet; the I/O thread has let go of it then. */
void edge_line_quit(struct braid_edge *edge, struct line *line);
void edge_line_free(struct line **line); /* let go, and no route uses it */

/* route.c */
/* Agrees on a plan, which it takes, and compiles it. The route is not in force yet. */
BRAID_NODISCARD enum braid_status edge_route_agree(struct braid_edge *edge, struct line *line, struct braid_plan *plan,
                                                   struct route **out);
/* The same without waiting for the cloud: the route may be used when line->planned is at its last epoch, or is agreed
 * at once when the cloud has no part in it. */
BRAID_NODISCARD enum braid_status edge_route_propose(struct braid_edge *edge, struct line *line,
                                                     struct braid_plan *plan, struct route **out);
bool edge_plan_is_local(const struct braid_plan *plan);                /* nothing of it in the cloud */
void edge_route_keep(struct braid_edge *edge, struct route *route);    /* agreed on, but not taken: warm */
void edge_route_forget(struct braid_edge *edge, struct route **route); /* the line is over before it was agreed on */
/* New frames take that route from now on. The one before stays warm, and one that was warm for longest is retired. */
void edge_route_switch(struct braid_edge *edge, struct route *route);
/* A route over the line's present connection with that very plan; NULL: none. */
struct route *edge_route_find(struct braid_edge *edge, const struct line *line, const struct braid_plan *plan);
/* Everything here, without a cloud; sets edge->alone. */
BRAID_NODISCARD enum braid_status edge_route_alone(struct braid_edge *edge);
void edge_retire_line(struct braid_edge *edge, const struct line *line); /* all routes over it */
void edge_empty_bin(struct braid_edge *edge);
void edge_free_routes(struct braid_edge *edge); /* the I/O thread has ended */

/* twin.c: compiles the cloud's half of every route over the line that has frames in flight. */
BRAID_NODISCARD enum braid_status edge_make_twins(struct braid_edge *edge, struct line *line);
/* rescue.c: is a plan's cloud half to be held here, too? Compiles it. */
bool edge_may_rescue(const struct braid_edge *edge, const struct braid_plan *plan);
BRAID_NODISCARD enum braid_status edge_make_spare(struct braid_edge *edge, struct part *part);
/* Compiles a plan's half of a site on this machine, as a stream that lives on `channel`. */
BRAID_NODISCARD enum braid_status edge_compile(struct braid_edge *edge, struct channel *channel,
                                               const struct stream_setup *given, struct stream **out);

/* probe.c: measures what `up` and `down` leave open. */
BRAID_NODISCARD enum braid_status edge_probe(struct braid_edge *edge, struct line *line, struct braid_link_cost *up,
                                             struct braid_link_cost *down);

/* adapt.c: decides for the costs, and again whenever edge_adapt is called. */
BRAID_NODISCARD enum braid_status edge_adapt_begin(struct braid_edge *edge, const struct braid_costs *costs,
                                                   const struct braid_policy *policy, struct braid_plan **plan);
void edge_adapt_end(struct braid_edge *edge);
int64_t edge_adapt_due_ns(const struct braid_edge *edge); /* under the mutex; INT64_MAX: nothing to do */
void edge_adapt(struct braid_edge *edge);

/* sight.c: what the trace says of the edge beside what ran (docs/timeline.md). Without a trace nothing happens. */
void edge_sight_name(const struct braid_edge *edge, struct line *line);       /* before HELLO */
void edge_sight_line(const struct braid_edge *edge, const struct line *line); /* I/O thread: as the line ends */
void edge_sight_frame(const struct braid_edge *edge, const struct flight *flight, const struct braid_answer *answer);
/* The costs that plans are decided with from now on, unless adaptation knows better; copied. */
void edge_sight_costs(struct braid_edge *edge, const struct braid_costs *costs);
void edge_sight_route(struct braid_edge *edge, const struct route *route);
void edge_sight_end(struct braid_edge *edge);

/* decide.c: this machine's profile, where it is needed, and the times of the device that it plays. */
BRAID_NODISCARD enum braid_status edge_know_device(struct braid_edge *edge);
bool edge_wants_profile(const struct braid_edge *edge); /* of the cloud, and of this machine */
/* The plan to propose: `given` with a forecast, or (NULL) the policy's, from WELCOME and measurements. */
BRAID_NODISCARD enum braid_status edge_decide(struct braid_edge *edge, struct line *line,
                                              const struct braid_plan *given, struct braid_plan **plan);

#endif
