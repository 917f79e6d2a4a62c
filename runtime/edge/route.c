/* SPDX-License-Identifier: Apache-2.0
 * Routes: plans in force. A route is made and agreed on while frames go on along the one before; then it becomes the
 * current one, in one step. The route before stays warm, so that a plan which comes back costs nothing; the one that
 * was warm for longest is retired: when its last frame has ended the cloud is told and both sides free it. */
#include <string.h>

#include "edge/edge.h"

/* --------------------------------------------------------------------------------------------------- making */

/* What its tasks take: on the device that this machine plays, or by this machine's profile, for adapt.c to compare. */
static enum braid_status expect_times(const struct braid_edge *edge, struct braid_program *program) {
  if (edge->emulate_ns) return braid_program_emulate(program, edge->emulate_ns, edge->emulate_slice_ns);
  const struct braid_profile *p = edge->opts.profile ? edge->opts.profile : edge->profile;
  if (!p || p->n_nodes != braid_graph_size(edge->graph)) return BRAID_OK;
  return braid_program_expect(program, p->node_ns, p->slice_ns);
}

enum braid_status edge_compile(struct braid_edge *edge, struct channel *channel, const struct stream_setup *given,
                               struct stream **out) {
  struct stream_setup setup = *given;
  BRAID_TRY(braid_plan_copy(given->plan, &setup.plan));
  enum braid_status status = stream_compile(edge->pool, edge->graph, setup.plan, given->here, given->window,
                                            edge->opts.cpu_flags, 0, edge->arenas, &setup.program);
  if (status == BRAID_OK && setup.program) status = expect_times(edge, setup.program);
  if (status == BRAID_OK) status = stream_create(channel, &setup, out);
  if (status != BRAID_OK) {
    braid_program_destroy(&setup.program);
    braid_plan_destroy(&setup.plan);
  }
  return status;
}

/* Something is computed there, or wanted. */
static bool has_cloud(const struct braid_plan *plan) {
  if (plan->deliver == BRAID_CLOUD) return true;
  for (int i = 0; i < plan->n_nodes; i++)
    if (plan->site[i] == BRAID_CLOUD) return true;
  return false;
}

bool edge_plan_is_local(const struct braid_plan *plan) {
  bool cloud = plan->n_mix == 0 && has_cloud(plan);
  for (int i = 0; i < plan->n_mix; i++) cloud = cloud || has_cloud(plan->mix[i]);
  return !cloud;
}

/* Both sides compile at the same time. A part gets arenas for its share of the window, and is an epoch of its own. What
 * is all here needs nobody's agreement. */
static enum braid_status propose_part(struct braid_edge *edge, struct route *route, int i) {
  struct part *part = &route->part[i];
  struct braid_plan *plan = route->plan->n_mix > 0 ? route->plan->mix[i] : route->plan;
  int window = braid_mix_frames(route->plan, i, route->window);
  uint32_t epoch = edge->next_epoch++;
  struct stream_setup setup = {epoch, BRAID_EDGE, edge->graph, plan, NULL, window};
  part->number = FIRST_FRAME;
  part->told = has_cloud(plan);
  if (part->told) {
    BRAID_TRY(edge_line_propose(edge, route->line, plan, epoch, window));
    route->last_epoch = epoch;
  }
  BRAID_TRY(edge_compile(edge, &route->line->channel, &setup, &part->stream));
  if (part->told && edge_may_rescue(edge, plan)) BRAID_TRY(edge_make_spare(edge, part));
  return stream_note_sends(part->stream);
}

static int choose_window(const struct braid_edge_opts *opts, const struct braid_plan *plan) {
  int window = opts->window > 0 ? opts->window : plan->objective == BRAID_THROUGHPUT ? plan->window : 1;
  if (window < 1) return 1;
  return window < SESSION_MAX_WINDOW ? window : SESSION_MAX_WINDOW;
}

static struct route *route_create(struct braid_edge *edge, struct line *line, struct braid_plan *plan) {
  struct route *route = braid_calloc(1, sizeof *route);
  if (!route) return NULL;
  route->line = line;
  route->plan = plan;
  route->n_parts = plan->n_mix > 0 ? plan->n_mix : 1;
  route->crosses = !edge_plan_is_local(plan);
  route->window = choose_window(&edge->opts, plan);
  route->next_part = braid_mix_next(plan, route->credit);
  route->next_known = edge->known;
  edge->known = route;
  if (line) line->n_routes++;
  return route;
}

/* Out of the list of those known, and freed. Nothing of it is in flight. */
static void route_free(struct braid_edge *edge, struct route *route) {
  struct route **at = &edge->known;
  while (*at != route) at = &(*at)->next_known;
  *at = route->next_known;
  if (route->line) route->line->n_routes--;
  for (int i = 0; i < EDGE_WARM_ROUTES; i++)
    if (edge->warm[i] == route) edge->warm[i] = NULL;
  for (int i = 0; i < route->n_parts; i++) {
    stream_destroy(&route->part[i].stream);
    stream_destroy(&route->part[i].twin);
    stream_destroy(&route->part[i].spare);
  }
  braid_plan_destroy(&route->plan);
  braid_free(route);
}

static int epochs_in_force(const struct braid_edge *edge, const struct line *line) {
  int n = 0;
  for (const struct route *r = edge->known; r; r = r->next_known)
    if (r->line == line) n += r->n_parts;
  return n;
}

/* Warm ones make room for new ones. */
static bool retire_warm(struct braid_edge *edge) {
  int last = EDGE_WARM_ROUTES - 1;
  while (last >= 0 && !edge->warm[last]) last--;
  if (last < 0) return false;
  pthread_mutex_lock(&edge->mutex);
  edge->warm[last]->retired = true;
  pthread_mutex_unlock(&edge->mutex);
  edge->warm[last] = NULL;
  io_poke(&edge->io);
  return true;
}

/* The cloud takes so many plans at a time: routes that have been retired give their place when their last frame ends.
 */
static enum braid_status wait_for_place(struct braid_edge *edge, const struct line *line, int n_parts) {
  enum braid_status status = BRAID_OK;
  for (edge_empty_bin(edge); status == BRAID_OK && epochs_in_force(edge, line) + n_parts > SESSION_MAX_EPOCHS;
       edge_empty_bin(edge)) {
    (void)retire_warm(edge);
    pthread_mutex_lock(&edge->mutex);
    while (!edge->bin && line->broken == BRAID_OK && !edge->ending) pthread_cond_wait(&edge->changed, &edge->mutex);
    if (line->broken != BRAID_OK)
      status = edge_fail_line(line, line->broken);
    else if (!edge->bin)
      status = braid_fail(BRAID_ECLOSED, "the edge is stopping");
    pthread_mutex_unlock(&edge->mutex);
  }
  return status;
}

enum braid_status edge_route_propose(struct braid_edge *edge, struct line *line, struct braid_plan *plan,
                                     struct route **out) {
  int parts = plan->n_mix > 0 ? plan->n_mix : 1;
  enum braid_status status = BRAID_OK;
  if (parts > EDGE_MAX_PARTS)
    status = braid_fail(BRAID_EUNSUPPORTED, "a mix of %d plans; at most %d can be in force at once: drop the lightest",
                        parts, EDGE_MAX_PARTS);
  if (status == BRAID_OK) status = wait_for_place(edge, line, parts);
  struct route *route = status == BRAID_OK ? route_create(edge, line, plan) : NULL;
  if (!route) {
    braid_plan_destroy(&plan);
    return status == BRAID_OK ? braid_fail(BRAID_ENOMEM, "no memory for a plan in force") : status;
  }
  for (int i = 0; status == BRAID_OK && i < parts; i++) status = propose_part(edge, route, i);
  route->agreed = route->last_epoch == 0;
  if (status == BRAID_OK) {
    edge_sight_route(edge, route);
    *out = route;
  } else {
    route_free(edge, route);
  }
  return status;
}

enum braid_status edge_route_agree(struct braid_edge *edge, struct line *line, struct braid_plan *plan,
                                   struct route **out) {
  struct route *route = NULL;
  BRAID_TRY(edge_route_propose(edge, line, plan, &route));
  enum braid_status status = route->agreed ? BRAID_OK : edge_line_agreed(edge, line, route->last_epoch);
  route->agreed = true;
  if (status == BRAID_OK)
    *out = route;
  else
    route_free(edge, route);
  return status;
}

void edge_route_forget(struct braid_edge *edge, struct route **route) {
  if (*route) route_free(edge, *route);
  *route = NULL;
}

/* Under the mutex. Once: a plan that comes back is served already, whichever way it had left. */
static void hand_to_io(struct braid_edge *edge, struct route *route) {
  if (route->handed) return;
  route->handed = true;
  route->next = edge->incoming;
  edge->incoming = route;
}

/* ---------------------------------------------------------------------------------------------------- alone */

static size_t network_bytes(const struct braid_graph *graph) {
  size_t bytes = 0;
  for (int i = 0; i < braid_graph_size(graph); i++)
    bytes += braid_graph_node(graph, i)->bytes + braid_graph_node(graph, i)->weight_bytes;
  return bytes;
}

static enum braid_status make_alone(struct braid_edge *edge, struct route **out) {
  struct braid_plan *plan;
  BRAID_TRY(braid_plan_create(edge->graph, "alone", &plan));
  plan->objective = edge->opts.goal.objective;
  plan->window = edge->threads + 1; /* more in flight would only wait for the same workers */
  struct route *route = route_create(edge, NULL, plan);
  if (!route) {
    braid_plan_destroy(&plan);
    return braid_fail(BRAID_ENOMEM, "no memory for a plan in force");
  }
  route->part[0].number = FIRST_FRAME;
  struct stream_setup setup = {ALONE_EPOCH, BRAID_EDGE, edge->graph, plan, NULL, route->window};
  enum braid_status status = edge_compile(edge, &edge->home, &setup, &route->part[0].stream);
  if (status == BRAID_OK)
    *out = route;
  else
    route_free(edge, route);
  return status;
}

enum braid_status edge_route_alone(struct braid_edge *edge) {
  size_t limit = edge->opts.goal.edge_memory, bytes = network_bytes(edge->graph);
  if (limit > 0 && bytes > limit)
    return braid_fail(BRAID_EUNSUPPORTED, "'%s' takes %zu MiB, over the edge's memory of %zu MiB",
                      braid_graph_name(edge->graph), (bytes >> 20) + 1, limit >> 20);
  struct route *route = NULL;
  BRAID_TRY(make_alone(edge, &route));
  pthread_mutex_lock(&edge->mutex);
  edge->alone = route;
  hand_to_io(edge, route);
  pthread_mutex_unlock(&edge->mutex);
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- switching */

static bool same_single(const struct braid_plan *a, const struct braid_plan *b) {
  size_t n = (size_t)a->n_nodes;
  return a->n_nodes == b->n_nodes && a->serial == b->serial && a->objective == b->objective && a->window == b->window &&
         a->deliver == b->deliver &&
         memcmp(a->site, b->site, n * sizeof *a->site) == 0 &&
         memcmp(a->slices, b->slices, n * sizeof *a->slices) == 0 && memcmp(a->rank, b->rank, n * sizeof *a->rank) == 0;
}

static bool same_plan(const struct braid_plan *a, const struct braid_plan *b) {
  if (a->n_mix != b->n_mix || !same_single(a, b)) return false;
  for (int i = 0; i < a->n_mix; i++)
    if (a->mix_weight[i] < b->mix_weight[i] || a->mix_weight[i] > b->mix_weight[i] ||
        !same_single(a->mix[i], b->mix[i]))
      return false;
  return true;
}

struct route *edge_route_find(struct braid_edge *edge, const struct line *line, const struct braid_plan *plan) {
  struct route *found = NULL;
  pthread_mutex_lock(&edge->mutex);
  for (struct route *r = edge->known; r && !found; r = r->next_known)
    if (r->line == line && r->agreed && !r->retired && same_plan(r->plan, plan)) found = r;
  pthread_mutex_unlock(&edge->mutex);
  return found;
}

/* Keeps `route` warm; returns the one that has to go for it. NULL: none. */
static struct route *keep_warm(struct braid_edge *edge, struct route *route) {
  if (edge->opts.goal.edge_memory > 0) return route; /* what is kept warm is not in the sum that was planned with */
  struct route *last = edge->warm[EDGE_WARM_ROUTES - 1];
  for (int i = EDGE_WARM_ROUTES - 1; i > 0; i--) edge->warm[i] = edge->warm[i - 1];
  edge->warm[0] = route;
  return last;
}

static void take_from_warm(struct braid_edge *edge, const struct route *route) {
  int n = 0;
  for (int i = 0; i < EDGE_WARM_ROUTES; i++)
    if (edge->warm[i] != route) edge->warm[n++] = edge->warm[i];
  while (n < EDGE_WARM_ROUTES) edge->warm[n++] = NULL;
}

void edge_route_keep(struct braid_edge *edge, struct route *route) {
  struct route *last = keep_warm(edge, route);
  pthread_mutex_lock(&edge->mutex);
  hand_to_io(edge, route);
  if (last) last->retired = true;
  pthread_mutex_unlock(&edge->mutex);
  io_poke(&edge->io);
}

void edge_route_switch(struct braid_edge *edge, struct route *route) {
  take_from_warm(edge, route);
  pthread_mutex_lock(&edge->mutex);
  struct route *before = edge->current, *last = NULL;
  if (before && before != edge->alone) last = keep_warm(edge, before);
  if (last) last->retired = true;
  hand_to_io(edge, route);
  /* The line may have broken since the plan was agreed on: then the route is empty, and goes with the line. */
  if (!route->line || (route->line->broken == BRAID_OK && !(route->line->draining && edge->alone)))
    edge->current = route;
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
  io_poke(&edge->io);
}

/* -------------------------------------------------------------------------------------------------- retiring */

void edge_retire_line(struct braid_edge *edge, const struct line *line) {
  for (int i = 0; i < EDGE_WARM_ROUTES; i++) edge->warm[i] = NULL; /* all of that line */
  pthread_mutex_lock(&edge->mutex);
  for (struct route *r = edge->known; r; r = r->next_known)
    if (r->line == line) r->retired = true;
  pthread_mutex_unlock(&edge->mutex);
  io_poke(&edge->io);
}

static enum braid_status tell_retired(struct braid_edge *edge, const struct route *route) {
  for (int i = 0; i < route->n_parts; i++) {
    struct braid_msg msg = {.type = BRAID_MSG_RETIRE, .epoch = route->part[i].stream->epoch};
    if (route->part[i].told && edge->io_line && route->line == edge->io_line)
      BRAID_TRY(channel_send(&edge->io_line->channel, &msg));
  }
  return BRAID_OK;
}

static bool is_idle(const struct route *route) {
  int flying = 0;
  bool idle = true;
  for (int i = 0; i < route->n_parts; i++) {
    flying += route->part[i].flying;
    idle = idle && (!route->part[i].twin || stream_idle(route->part[i].twin));
    idle = idle && (!route->part[i].spare || stream_idle(route->part[i].spare));
  }
  return flying == 0 && idle;
}

/* Twins' flights are ended by this thread: they are looked at, and the mutex of their channel taken, within ours. */
static bool may_go(struct braid_edge *edge, struct route *route) {
  pthread_mutex_lock(&edge->mutex);
  bool may = route->retired && is_idle(route);
  pthread_mutex_unlock(&edge->mutex);
  return may;
}

enum braid_status edge_let_go_idle(struct braid_edge *edge) {
  for (struct route **at = &edge->serving, *r; (r = *at);) {
    if (!may_go(edge, r)) {
      at = &r->next;
      continue;
    }
    BRAID_TRY(tell_retired(edge, r));
    *at = r->next;
    pthread_mutex_lock(&edge->mutex);
    r->next = edge->bin;
    edge->bin = r;
    pthread_cond_broadcast(&edge->changed);
    pthread_mutex_unlock(&edge->mutex);
  }
  return BRAID_OK;
}

void edge_empty_bin(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  struct route *bin = edge->bin;
  edge->bin = NULL;
  pthread_mutex_unlock(&edge->mutex);
  for (struct route *r; (r = bin);) {
    bin = r->next;
    route_free(edge, r);
  }
}

void edge_free_routes(struct braid_edge *edge) {
  while (edge->known) route_free(edge, edge->known);
}
