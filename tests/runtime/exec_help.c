/* SPDX-License-Identifier: Apache-2.0
 * See exec_help.h. */
#include "exec_help.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

int roll(struct dice *d, int n) {
  return (int)(braid_random_u64(d->seed, d->at++) % (uint64_t)n);
}

/* --------------------------------------------------------------------------------------- inputs, outputs */

static size_t bytes_of(const struct braid_tensor *t) {
  size_t bytes;
  ensure_ok(braid_shape_bytes(&t->shape, t->dtype, &bytes));
  return bytes;
}

static struct braid_tensor make_tensor(const struct braid_node *node) {
  struct braid_tensor t = {calloc(node->bytes ? node->bytes : 1, 1), node->dtype, node->shape};
  ensure(t.data, "no memory");
  return t;
}

static void fill(struct braid_tensor *t, uint64_t seed) {
  size_t n = bytes_of(t) / braid_dtype_bytes(t->dtype);
  for (size_t i = 0; i < n; i++) {
    if (t->dtype == BRAID_F32)
      ((float *)t->data)[i] = braid_random_f32(seed, i);
    else
      memset((char *)t->data + i * braid_dtype_bytes(t->dtype), (int)(braid_random_u64(seed, i) & 0xff), 1);
  }
}

void io_make(const struct braid_graph *graph, uint64_t seed, struct io *io) {
  const int *in = braid_graph_inputs(graph, &io->n_in);
  io->in = calloc((size_t)io->n_in, sizeof *io->in);
  for (int i = 0; i < io->n_in; i++) {
    io->in[i] = make_tensor(braid_graph_node(graph, in[i]));
    fill(&io->in[i], seed + (uint64_t)i);
  }
  const int *out = braid_graph_outputs(graph, &io->n_out);
  io->out = calloc((size_t)io->n_out, sizeof *io->out);
  for (int i = 0; i < io->n_out; i++) io->out[i] = make_tensor(braid_graph_node(graph, out[i]));
}

void io_free(struct io *io) {
  for (int i = 0; i < io->n_in; i++) free(io->in[i].data);
  for (int i = 0; i < io->n_out; i++) free(io->out[i].data);
  free(io->in);
  free(io->out);
}

int io_difference(const struct io *a, const struct io *b) {
  for (int i = 0; i < a->n_out; i++)
    if (memcmp(a->out[i].data, b->out[i].data, bytes_of(&a->out[i])) != 0) return i;
  return -1;
}

double io_distance(const struct io *a, const struct io *b) {
  double worst = 0;
  for (int i = 0; i < a->n_out; i++) {
    const float *x = a->out[i].data, *y = b->out[i].data;
    double largest = 1e-30, apart = 0;
    for (size_t k = 0; k < bytes_of(&a->out[i]) / 4; k++) {
      ensure(isfinite(x[k]) && isfinite(y[k]), "output %d is not finite", i);
      largest = fmax(largest, fabs((double)x[k]));
      apart = fmax(apart, fabs((double)x[k] - (double)y[k]));
    }
    worst = fmax(worst, apart / largest);
  }
  return worst;
}

/* ----------------------------------------------------------------------------------------- running alone */

struct braid_pool *make_pool(int workers) {
  struct braid_pool *pool;
  ensure_ok(braid_pool_create(&(struct braid_pool_opts){.workers = workers, .name = "test"}, &pool));
  return pool;
}

struct braid_program *make_program(struct braid_pool *pool, const struct braid_graph *graph,
                                   const struct braid_plan *plan, enum braid_site here, int frames,
                                   uint32_t cpu_flags) {
  struct braid_program *program;
  struct braid_program_opts opts = {.here = here, .frames = frames, .cpu_flags = cpu_flags};
  ensure_ok(braid_program_create(pool, graph, plan, &opts, &program));
  return program;
}

void run_alone(const struct braid_graph *graph, const struct braid_plan *plan, int workers, uint32_t cpu_flags,
               struct io *io) {
  struct braid_pool *pool = make_pool(workers);
  struct braid_program *program = make_program(pool, graph, plan, BRAID_EDGE, 1, cpu_flags);
  ensure_ok(braid_program_run(program, io->in, io->n_in, io->out, io->n_out));
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
}

void run_reference(const struct braid_graph *graph, struct io *io) {
  run_alone(graph, NULL, 1, 0, io);
}

/* ------------------------------------------------------------------------------------------------ plans */

static bool operand_in_cloud(const struct braid_graph *graph, const struct braid_plan *plan, int id) {
  const struct braid_node *node = braid_graph_node(graph, id);
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k]) && plan->site[node->in[k]] == BRAID_CLOUD) return true;
  return false;
}

static void choose_sites(const struct braid_graph *graph, struct dice *dice, enum split split,
                         struct braid_plan *plan) {
  int odds = 1 + roll(dice, 12);
  for (int id = 0; id < plan->n_nodes; id++) {
    if (split == SPLIT_NONE || braid_graph_node(graph, id)->op == BRAID_OP_INPUT) continue;
    bool cloud = roll(dice, odds + 1) == 0 || (split == SPLIT_CLOSED && operand_in_cloud(graph, plan, id));
    plan->site[id] = cloud ? BRAID_CLOUD : BRAID_EDGE;
  }
}

static void shuffle_ranks(struct dice *dice, struct braid_plan *plan) {
  for (int i = plan->n_nodes - 1; i > 0; i--) {
    int j = roll(dice, i + 1), t = plan->rank[i];
    plan->rank[i] = plan->rank[j];
    plan->rank[j] = t;
  }
}

struct braid_plan *random_plan(const struct braid_graph *graph, struct dice *dice, enum split split) {
  struct braid_plan *plan;
  ensure_ok(braid_plan_create(graph, "random", &plan));
  choose_sites(graph, dice, split, plan);
  for (int id = 0; id < plan->n_nodes; id++) {
    int most = braid_graph_node(graph, id)->slices_max;
    plan->slices[id] = most > 1 ? 1 + roll(dice, most) : 1;
  }
  if (roll(dice, 3)) shuffle_ranks(dice, plan);
  plan->serial = split != SPLIT_ANY && roll(dice, 4) == 0;
  if (split != SPLIT_NONE && roll(dice, 3) == 0) plan->deliver = BRAID_CLOUD;
  ensure_ok(braid_plan_check(plan, graph, split == SPLIT_CLOSED));
  return plan;
}

/* ------------------------------------------------------------------------------------- edge, link, cloud
 * Parcels are rows on their way. The main thread is the link: it takes any waiting parcel, delivers any part of it,
 * and leaves the rest. */

enum to { TO_EDGE_FROM_USER, TO_CLOUD, TO_EDGE };

struct parcel {
  enum to to;
  int frame, node;
  struct braid_band band;
};

struct run {
  struct world *world;
  int index;
  struct braid_frame *edge, *cloud;
};

struct world {
  const struct braid_graph *graph;
  struct io *io;
  struct dice dice;
  struct run *run;
  pthread_mutex_t mutex; /* guards the rest */
  pthread_cond_t cond;
  struct parcel *parcel;
  int n_parcels, capacity, n_done;
};

static void put(struct world *w, struct parcel p) {
  pthread_mutex_lock(&w->mutex);
  if (w->n_parcels == w->capacity) {
    w->capacity = w->capacity ? 2 * w->capacity : 64;
    w->parcel = realloc(w->parcel, (size_t)w->capacity * sizeof *w->parcel);
    ensure(w->parcel, "no memory");
  }
  w->parcel[w->n_parcels++] = p;
  pthread_cond_signal(&w->cond);
  pthread_mutex_unlock(&w->mutex);
}

static void edge_rows(void *ctx, struct braid_frame *frame, int node, struct braid_band band) {
  struct run *run = ctx;
  ensure(braid_program_sends(braid_frame_program(frame), node), "node %d is not sent by the edge", node);
  put(run->world, (struct parcel){TO_CLOUD, run->index, node, band});
}

static void cloud_rows(void *ctx, struct braid_frame *frame, int node, struct braid_band band) {
  struct run *run = ctx;
  ensure(braid_program_sends(braid_frame_program(frame), node), "node %d is not sent by the cloud", node);
  put(run->world, (struct parcel){TO_EDGE, run->index, node, band});
}

static void one_done(void *ctx, struct braid_frame *frame) {
  struct run *run = ctx;
  (void)frame;
  pthread_mutex_lock(&run->world->mutex);
  run->world->n_done++;
  pthread_cond_signal(&run->world->cond);
  pthread_mutex_unlock(&run->world->mutex);
}

/* A random part of a random parcel; false when all frames of both sites are done. */
static bool take(struct world *w, int n_frames, struct parcel *p) {
  pthread_mutex_lock(&w->mutex);
  while (w->n_parcels == 0 && w->n_done < 2 * n_frames) pthread_cond_wait(&w->cond, &w->mutex);
  bool any = w->n_parcels > 0;
  if (any) {
    int i = roll(&w->dice, w->n_parcels);
    struct parcel *from = &w->parcel[i];
    *p = *from;
    int rows = from->band.end - from->band.begin, part = roll(&w->dice, 3) ? rows : 1 + roll(&w->dice, rows);
    p->band.end = p->band.begin + part;
    from->band.begin += part;
    if (part == rows) *from = w->parcel[--w->n_parcels];
  }
  pthread_mutex_unlock(&w->mutex);
  return any;
}

static struct braid_tensor source_of(const struct world *w, const struct parcel *p) {
  int n;
  const int *inputs = braid_graph_inputs(w->graph, &n);
  for (int i = 0; p->to == TO_EDGE_FROM_USER && i < n; i++)
    if (inputs[i] == p->node) return w->io[p->frame].in[i];
  const struct run *run = &w->run[p->frame];
  return braid_frame_tensor(p->to == TO_CLOUD ? run->edge : run->cloud, p->node);
}

static void deliver(struct world *w, const struct parcel *p) {
  struct run *run = &w->run[p->frame];
  struct braid_frame *to = p->to == TO_CLOUD ? run->cloud : run->edge;
  struct braid_tensor from = source_of(w, p), into = braid_frame_tensor(to, p->node);
  ensure(from.data && into.data, "node %d has no memory", p->node);
  void *wire = malloc(braid_band_bytes(&from.shape, from.dtype, p->band));
  braid_band_pack(&from, p->band, wire);
  ensure_ok(braid_frame_expects(to, p->node, p->band));
  braid_band_unpack(&into, p->band, wire);
  ensure_ok(braid_frame_arrived(to, p->node, p->band));
  free(wire);
}

static void begin_runs(struct world *w, struct braid_program *edge, struct braid_program *cloud, int n) {
  static const struct braid_frame_events edge_events = {edge_rows, one_done}, cloud_events = {cloud_rows, one_done};
  int n_in;
  const int *inputs = braid_graph_inputs(w->graph, &n_in);
  for (int i = 0; i < n; i++) {
    w->run[i] = (struct run){.world = w, .index = i};
    ensure_ok(braid_frame_begin(edge, (uint64_t)i, (uint64_t)i, &edge_events, &w->run[i], &w->run[i].edge));
    ensure_ok(braid_frame_begin(cloud, (uint64_t)i, (uint64_t)i, &cloud_events, &w->run[i], &w->run[i].cloud));
    for (int k = 0; k < n_in; k++)
      put(w, (struct parcel){TO_EDGE_FROM_USER, i, inputs[k], {0, braid_graph_node(w->graph, inputs[k])->rows}});
  }
}

static void end_runs(struct world *w, enum braid_site deliver, int n) {
  int n_out;
  const int *outputs = braid_graph_outputs(w->graph, &n_out);
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < n_out; k++) {
      struct braid_tensor t =
          braid_frame_tensor(deliver == BRAID_CLOUD ? w->run[i].cloud : w->run[i].edge, outputs[k]);
      memcpy(w->io[i].out[k].data, t.data, bytes_of(&t));
    }
    braid_frame_end(&w->run[i].edge);
    braid_frame_end(&w->run[i].cloud);
  }
}

void run_split(const struct braid_graph *graph, const struct braid_plan *plan, int workers, uint64_t seed,
               struct io *io, int n) {
  struct braid_pool *edge_pool = make_pool(workers), *cloud_pool = make_pool(workers);
  struct braid_program *edge = make_program(edge_pool, graph, plan, BRAID_EDGE, n, 0);
  struct braid_program *cloud = make_program(cloud_pool, graph, plan, BRAID_CLOUD, n, 0);
  struct world w = {.graph = graph, .io = io, .dice = {seed, 0}, .run = calloc((size_t)n, sizeof *w.run)};
  pthread_mutex_init(&w.mutex, NULL);
  pthread_cond_init(&w.cond, NULL);
  begin_runs(&w, edge, cloud, n);
  struct parcel p;
  while (take(&w, n, &p)) deliver(&w, &p);
  ensure(w.n_done == 2 * n, "%d of %d frames are done", w.n_done, 2 * n);
  end_runs(&w, plan->deliver, n);
  free(w.run);
  free(w.parcel);
  pthread_mutex_destroy(&w.mutex);
  pthread_cond_destroy(&w.cond);
  braid_program_destroy(&edge);
  braid_program_destroy(&cloud);
  braid_pool_destroy(&edge_pool);
  braid_pool_destroy(&cloud_pool);
}
