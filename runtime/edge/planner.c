/* SPDX-License-Identifier: Apache-2.0
 * The planner: a thread that holds the conversation with the cloud as blocking steps, so that frames go on meanwhile.
 * It connects, decides, agrees on the plan and switches; then it waits for something to do. When the line breaks it has
 * the frames in flight finished here, and tries one target after the other, waiting longer each time, until there is a
 * cloud again. */
#include <stdio.h>
#include <string.h>

#include "edge/edge.h"

#define CONNECT_TIMEOUT_NS (5 * INT64_C(1000000000))
#define RECONNECT_TIMEOUT_NS INT64_C(1000000000) /* there is an alone: better to ask the next target */
#define TRUSTED_NS (5 * INT64_C(1000000000))
#define BACKOFF_FIRST_NS (50 * INT64_C(1000000))
#define BACKOFF_LAST_NS INT64_C(1000000000)

enum braid_status edge_fail_broken(const struct braid_edge *edge, enum braid_status status) {
  return braid_fail(status, "%s", edge->why);
}

void edge_break(struct braid_edge *edge, enum braid_status status) {
  pthread_mutex_lock(&edge->mutex);
  if (edge->broken == BRAID_OK) {
    edge->broken = status;
    snprintf(edge->why, sizeof edge->why, "%s", braid_error());
  }
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
  io_poke(&edge->io);
}

/* --------------------------------------------------------------------------------------------------- steps */

/* What callers see of the plan as long as the edge lives. */
static enum braid_status note_first_plan(struct braid_edge *edge, const struct route *route) {
  return edge->first_plan ? BRAID_OK : braid_plan_copy(route->plan, &edge->first_plan);
}

static enum braid_status converse(struct braid_edge *edge, struct line *line, int64_t timeout_ns) {
  struct braid_plan *plan = NULL;
  struct route *route = NULL;
  BRAID_TRY(edge_line_meet(edge, line, timeout_ns));
  BRAID_TRY(edge_decide(edge, line, edge->given, &plan));
  BRAID_TRY(edge_route_agree(edge, line, plan, &route));
  BRAID_TRY(note_first_plan(edge, route));
  edge_route_switch(edge, route);
  line->since_ns = io_now_ns();
  return edge_line_state(edge, line);
}

/* Lines whose last frames have ended. */
static void free_old_lines(struct braid_edge *edge) {
  for (struct line **at = &edge->old_lines, *line; (line = *at);) {
    if (line->n_routes > 0) {
      at = &line->next_old;
      continue;
    }
    *at = line->next_old;
    edge_line_free(&line);
  }
}

/* The line is over: what is still on its way over it is finished here. */
static enum braid_status leave_line(struct braid_edge *edge) {
  struct line *line = edge->planner_line;
  edge->planner_line = NULL;
  edge_adapt_end(edge);
  edge_line_quit(edge, line);
  edge_route_forget(edge, &edge->proposed);
  line->next_old = edge->old_lines;
  edge->old_lines = line;
  enum braid_status status = edge->alone ? edge_make_twins(edge, line) : BRAID_OK;
  edge_retire_line(edge, line);
  return status;
}

static enum braid_status try_target(struct braid_edge *edge, const char *address, int64_t timeout_ns) {
  BRAID_TRY(edge_line_open(edge, address, &edge->planner_line));
  enum braid_status status = converse(edge, edge->planner_line, timeout_ns);
  if (status == BRAID_OK) return status;
  edge_target_failed(edge, address);
  char why[EDGE_ERROR_BYTES];
  snprintf(why, sizeof why, "%s", braid_error());
  BRAID_TRY(leave_line(edge));
  edge_empty_bin(edge);
  return braid_fail(status, "%s", why);
}

/* ------------------------------------------------------------------------------------------------ the beginning */

static enum braid_status try_targets(struct braid_edge *edge) {
  int64_t timeout_ns = edge->opts.connect_timeout_ns > 0 ? edge->opts.connect_timeout_ns : CONNECT_TIMEOUT_NS;
  enum braid_status status = BRAID_OK;
  int order[EDGE_MAX_TARGETS], n = edge_targets_choose(edge, order);
  for (int i = 0; i < n; i++)
    if ((status = try_target(edge, edge->target[order[i]], timeout_ns)) == BRAID_OK) break;
  return status;
}

/* Not being able to run alone is no reason not to run. */
static void prepare_alone(struct braid_edge *edge) {
  if (edge->opts.fallback == BRAID_FALLBACK_OFF || edge_route_alone(edge) == BRAID_OK) return;
  braid_log(BRAID_LOG_WARN, "a cloud that dies will end this edge, which cannot run alone: %s", braid_error());
}

/* What the cloud, or its absence, is to blame for; wrong options are not bridged. */
static bool is_bridgeable(const struct braid_edge *edge, enum braid_status status) {
  return edge->alone && status != BRAID_EINVAL && status != BRAID_ENOMEM && status != BRAID_EUNSUPPORTED;
}

static void go_alone(struct braid_edge *edge) {
  edge_route_switch(edge, edge->alone);
  pthread_mutex_lock(&edge->mutex);
  edge->stats.fallbacks++;
  pthread_mutex_unlock(&edge->mutex);
}

static void announce(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  edge->started = true;
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
}

/* None when the line broke before there was an alone. */
static bool has_current(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  bool has = edge->current != NULL;
  pthread_mutex_unlock(&edge->mutex);
  return has;
}

enum braid_status edge_begin_alone(struct braid_edge *edge) {
  if (!edge->alone || has_current(edge)) return BRAID_OK;
  BRAID_TRY(note_first_plan(edge, edge->alone));
  go_alone(edge);
  announce(edge);
  return BRAID_OK;
}

static void note_return(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  edge->stats.reconnects++;
  uint64_t alone = edge->stats.alone;
  pthread_mutex_unlock(&edge->mutex);
  struct braid_log_field field[] = {{"peer", edge->planner_line->address, 0}, {"alone", NULL, (int64_t)alone}};
  braid_log_event(BRAID_LOG_INFO, "reconnected", field, 2, "frames go to cloud %s again; %llu were finished here",
                  edge->planner_line->address, (unsigned long long)alone);
}

static enum braid_status begin(struct braid_edge *edge) {
  bool early = edge->opts.fallback == BRAID_FALLBACK_START;
  if (early) {
    BRAID_TRY(edge_know_device(edge));
    prepare_alone(edge);
  }
  enum braid_status status = try_targets(edge);
  if (status == BRAID_OK && edge->started) note_return(edge); /* frames have begun alone, see edge_begin_alone */
  if (status == BRAID_OK && !early) prepare_alone(edge);      /* now that its device is known */
  if (status == BRAID_OK || !early || !is_bridgeable(edge, status)) return status;
  if (edge->started) return BRAID_OK; /* it has begun alone; coming back says why it still is */
  braid_log(BRAID_LOG_WARN, "starting alone: %s", braid_error());
  return edge_begin_alone(edge);
}

/* ---------------------------------------------------------------------------------------------------- re-planning */

static bool is_draining(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  bool draining = edge->planner_line && edge->planner_line->draining && edge->alone;
  pthread_mutex_unlock(&edge->mutex);
  return draining;
}

static enum braid_status change_plan(struct braid_edge *edge, const struct braid_plan *wanted) {
  struct line *line = edge->planner_line;
  struct braid_plan *plan = NULL;
  if (!line) return braid_fail(BRAID_ECLOSED, "there is no cloud to agree on a plan with; frames run alone");
  BRAID_TRY(edge_line_state(edge, line));
  if (is_draining(edge)) return braid_fail(BRAID_ECLOSED, "cloud %s is about to stop: no new plans", line->address);
  if (wanted) edge_adapt_end(edge); /* whoever gives a plan means it */
  BRAID_TRY(edge_decide(edge, line, wanted ? wanted : edge->given, &plan));
  struct route *route = edge_route_find(edge, line, plan);
  if (route)
    braid_plan_destroy(&plan);
  else
    BRAID_TRY(edge_route_agree(edge, line, plan, &route));
  pthread_mutex_lock(&edge->mutex);
  bool new = edge->current != route;
  edge->stats.replans += new;
  pthread_mutex_unlock(&edge->mutex);
  if (new) edge_route_switch(edge, route);
  return edge_line_state(edge, line);
}

static void serve_replan(struct braid_edge *edge, struct replan *replan) {
  enum braid_status status = change_plan(edge, replan->plan);
  pthread_mutex_lock(&edge->mutex);
  replan->status = status;
  if (status != BRAID_OK) snprintf(replan->why, sizeof replan->why, "%s", braid_error());
  replan->done = true;
  edge->replan = NULL;
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
}

/* ------------------------------------------------------------------------------------------------ coming back */

static int64_t backoff_ns(struct braid_edge *edge, int attempt) {
  int64_t ns = attempt < 5 ? BACKOFF_FIRST_NS << attempt : BACKOFF_LAST_NS;
  if (ns > BACKOFF_LAST_NS) ns = BACKOFF_LAST_NS;
  uint64_t dice = braid_random_u64((uint64_t)(uintptr_t)edge ^ (uint64_t)io_now_ns(), edge->n_backoffs++);
  return ns / 2 + (int64_t)(dice % (uint64_t)ns); /* edges that lost the same cloud do not come back as one */
}

/* Short at first, since the next target may be there; longer with every round, for a cloud that is slow to answer. */
static int64_t patience_ns(const struct braid_edge *edge, int attempt) {
  int64_t given_ns = edge->opts.connect_timeout_ns;
  int64_t ns = given_ns > 0 && given_ns < RECONNECT_TIMEOUT_NS ? given_ns : RECONNECT_TIMEOUT_NS;
  for (int round = attempt / edge->n_targets; round > 0 && ns < CONNECT_TIMEOUT_NS; round--) ns *= 2;
  return ns < CONNECT_TIMEOUT_NS ? ns : CONNECT_TIMEOUT_NS;
}

/* One attempt, at the best target; what it comes to is logged when it is news. */
static bool come_back(struct braid_edge *edge, int attempt) {
  int order[EDGE_MAX_TARGETS], n = edge_targets_choose(edge, order);
  const char *address = edge->target[order[attempt % n]];
  if (try_target(edge, address, patience_ns(edge, attempt)) == BRAID_OK) {
    edge->last_news[0] = '\0';
    note_return(edge);
    return true;
  }
  if (strcmp(edge->last_news, braid_error()) != 0) braid_log(BRAID_LOG_WARN, "still alone: %s", braid_error());
  snprintf(edge->last_news, sizeof edge->last_news, "%s", braid_error());
  return false;
}

/* ---------------------------------------------------------------------------------------------------- thread */

static bool line_is_broken(const struct braid_edge *edge) {
  return edge->planner_line && edge->planner_line->broken != BRAID_OK;
}

/* The cloud is about to stop, and nothing of ours is in flight there any more. */
static bool line_is_drained(const struct braid_edge *edge) {
  const struct line *line = edge->planner_line;
  if (!line || !line->draining || !edge->alone) return false;
  int busy = 0;
  for (const struct route *r = edge->known; r; r = r->next_known) {
    busy += r->line == line ? r->filling : 0;
    for (int i = 0; i < r->n_parts && r->line == line; i++) busy += r->part[i].flying;
  }
  return busy == 0;
}

/* Until there is something to do, or it is time to try again. */
static struct replan *wait_for_work(struct braid_edge *edge, int64_t deadline_ns, bool *ending, bool *adapts) {
  pthread_mutex_lock(&edge->mutex);
  for (;;) {
    int64_t due_ns = edge_adapt_due_ns(edge);
    *adapts = due_ns <= io_now_ns();
    if (*adapts || edge->ending || edge->replan || edge->bin || line_is_broken(edge) || line_is_drained(edge)) break;
    int64_t until_ns = due_ns < deadline_ns ? due_ns : deadline_ns;
    if (!io_cond_wait(&edge->changed, &edge->mutex, until_ns) && until_ns == deadline_ns) break;
  }
  struct replan *replan = edge->replan;
  *ending = edge->ending;
  pthread_mutex_unlock(&edge->mutex);
  return replan;
}

/* Returns whether the edge can go on. */
static bool survive(struct braid_edge *edge) {
  enum braid_status status = edge_line_state(edge, edge->planner_line);
  if (edge->alone) {
    struct braid_log_field peer = {"peer", edge->planner_line->address, 0};
    braid_log_event(BRAID_LOG_WARN, "alone", &peer, 1, "going on alone: %s", edge->planner_line->why);
    status = leave_line(edge);
    if (status == BRAID_OK && !has_current(edge)) go_alone(edge);
    if (status == BRAID_OK) return true;
  }
  edge_break(edge, status);
  return false;
}

/* Returns whether the edge has left. */
static bool leave_drained(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  bool drained = line_is_drained(edge);
  pthread_mutex_unlock(&edge->mutex);
  if (!drained) return false;
  struct braid_log_field peer = {"peer", edge->planner_line->address, 0};
  braid_log_event(BRAID_LOG_INFO, "draining", &peer, 1, "cloud %s is about to stop: frames go elsewhere",
                  edge->planner_line->address);
  enum braid_status status = leave_line(edge);
  if (status != BRAID_OK) braid_log(BRAID_LOG_WARN, "leaving the cloud: %s", braid_error());
  return true;
}

/* A cloud that has served for a while is trusted again; one that goes at once has failed. */
static void judge_line(struct braid_edge *edge) {
  const struct line *line = edge->planner_line;
  if (line->since_ns > 0 && io_now_ns() - line->since_ns > TRUSTED_NS)
    edge_target_served(edge, line->address);
  else if (line->since_ns > 0)
    edge_target_failed(edge, line->address);
}

static void work(struct braid_edge *edge) {
  bool ending = false, adapts = false;
  int attempt = 0;
  int64_t again_ns = edge->planner_line ? INT64_MAX : io_deadline_ns(backoff_ns(edge, 0));
  while (!ending) {
    struct replan *replan = wait_for_work(edge, again_ns, &ending, &adapts);
    edge_empty_bin(edge);
    free_old_lines(edge);
    if (ending) break;
    if (replan)
      serve_replan(edge, replan);
    else if (adapts && edge->planner_line && !is_draining(edge))
      edge_adapt(edge);
    if (is_draining(edge)) { /* there is nothing to adapt any more */
      edge_adapt_end(edge);
      edge_route_forget(edge, &edge->proposed);
    }
    if (leave_drained(edge)) {
      attempt = 0;
      again_ns = io_now_ns();
    } else if (edge->planner_line && edge_line_state(edge, edge->planner_line) != BRAID_OK) {
      judge_line(edge);
      if (!survive(edge)) break;
      attempt = 0;
      again_ns = io_deadline_ns(backoff_ns(edge, attempt));
    }
    if (edge->planner_line || io_now_ns() < again_ns) continue;
    bool back = come_back(edge, attempt++);
    again_ns = back ? INT64_MAX : io_deadline_ns(backoff_ns(edge, attempt));
  }
}

static void refuse_replans(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  struct replan *replan = edge->replan;
  edge->replan = NULL;
  if (replan) {
    replan->status = BRAID_ECLOSED;
    snprintf(replan->why, sizeof replan->why, "the edge has come to an end");
    replan->done = true;
  }
  edge->planner_gone = true;
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
}

void *edge_planner_main(void *arg) {
  struct braid_edge *edge = arg;
  enum braid_status status = begin(edge);
  if (status == BRAID_OK) {
    announce(edge);
    work(edge);
  } else {
    edge_break(edge, status);
  }
  refuse_replans(edge);
  if (edge->planner_line) edge_line_quit(edge, edge->planner_line);
  return NULL;
}
