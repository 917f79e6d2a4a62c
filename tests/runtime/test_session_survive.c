/* SPDX-License-Identifier: Apache-2.0
 * The cloud dies in mid-frame, again and again: every frame is answered once, with what one machine answers, and the
 * edge is back on the cloud at the end. Where results are wanted in the cloud, every frame is there or here. Here the
 * cloud is cut off in the same process, where every thread can be watched; tests/integration/test_survival.c kills
 * processes. */
#include <stdatomic.h>
#include <string.h>

#include "random_graph.h"
#include "session_rig.h"

enum { SAMPLES = 3, WINDOW = 4, DEATHS = 12 };
#define ADDRESS "inproc://mortal"

/* ------------------------------------------------------------------------- a cloud that dies after so many messages */

/* Stands between the edge and a real cloud and passes messages on, until it has passed `left`: then it is gone without
 * a word, and so are the messages that were on their way. */
struct middle {
  struct rig_cloud *cloud;
  int left;      /* from the cloud; < 0: no end */
  int data_left; /* DATA and DELIVERED among them; what comes after is swallowed; < 0: no end */
  pthread_t thread;
  atomic_bool stop, dead;
};

/* One message that came; false when there is none. */
static bool take(struct braid_link *from, braid_peer *peer, struct braid_msg *msg, bool *gone) {
  *msg = (struct braid_msg){0};
  enum braid_status status = braid_link_recv(from, peer, msg);
  *gone = status == BRAID_ECLOSED;
  return status == BRAID_OK;
}

static void give(struct braid_link *to, braid_peer peer, struct braid_msg *msg) {
  while (braid_link_send(to, peer, msg) == BRAID_EBUSY) continue;
  braid_msg_release(msg);
}

/* Every edge that comes has the cloud to itself. */
static bool pass_up(struct middle *m, struct braid_link *listen, struct braid_link **up, braid_peer *peer) {
  struct braid_msg msg;
  braid_peer from;
  bool gone;
  if (!take(listen, &from, &msg, &gone)) return false;
  if (from != *peer) {
    braid_link_close(up);
    *up = rig_raw_connect(m->cloud->address);
    *peer = from;
  }
  if (*up)
    give(*up, 0, &msg);
  else
    braid_msg_release(&msg);
  return true;
}

static bool pass_down(struct middle *m, struct braid_link *listen, struct braid_link *up, braid_peer peer, bool *gone) {
  struct braid_msg msg;
  braid_peer from;
  if (m->left == 0 || !up || !take(up, &from, &msg, gone)) return false;
  if (m->left > 0) m->left--;
  bool counts = msg.type == BRAID_MSG_DATA || msg.type == BRAID_MSG_DELIVERED;
  if (counts && m->data_left == 0) {
    braid_msg_release(&msg);
    return true;
  }
  if (counts && m->data_left > 0) m->data_left--;
  give(listen, peer, &msg);
  return true;
}

static void *stand_between(void *arg) {
  struct middle *m = arg;
  struct braid_link *listen, *up = NULL;
  struct braid_link_opts opts = {.listen = true};
  MUST(braid_link_open(ADDRESS, &opts, &listen));
  braid_peer peer = 0;
  while (!atomic_load(&m->stop) && m->left != 0) {
    bool gone = false;
    bool any = pass_up(m, listen, &up, &peer);
    while (pass_down(m, listen, up, peer, &gone)) any = true;
    if (gone) braid_link_close(&up); /* the edge has said goodbye: its next attempt is another session */
    if (!any) braid_link_wait(up ? up : listen, -1, 1000000);
  }
  braid_link_close(&listen);
  braid_link_close(&up);
  atomic_store(&m->dead, true);
  return NULL;
}

static void middle_start(struct middle *m, struct rig_cloud *cloud, int left, int data_left) {
  m->cloud = cloud;
  m->left = left;
  m->data_left = data_left;
  atomic_store(&m->stop, false);
  atomic_store(&m->dead, false);
  pthread_create(&m->thread, NULL, stand_between, m);
}

/* ------------------------------------------------------------------------------------------------------ frames */

struct scene {
  struct braid_graph *graph;
  struct rig_sample *sample[SAMPLES];
  struct rig_flow flow;
};

static struct braid_edge_stats stats_of(const struct scene *s) {
  struct braid_edge_stats stats;
  braid_edge_stats(s->flow.edge, &stats);
  return stats;
}

static struct rig_cloud *start_cloud(const struct scene *s) {
  return rig_cloud_start("inproc", s->graph, &(struct braid_cloud_opts){.result = rig_deliver});
}

/* Of either kind of delivery by turns. */
static struct braid_plan *draw_plan(const struct braid_graph *graph, uint64_t seed) {
  struct braid_plan *plan = seed % 4 == 0   ? rig_plan_all(graph, seed % 16 == 8 ? BRAID_EDGE : BRAID_CLOUD)
                            : seed % 8 == 5 ? rig_plan(graph, seed * 7919, false)
                                            : rig_plan(graph, seed * 7919, seed % 2 == 1);
  if (seed / 2 % 2 || seed % 16 == 8) plan->deliver = BRAID_CLOUD;
  return plan;
}

static void scene_start(struct scene *s, struct rig_cloud *cloud, uint64_t seed, const struct braid_plan *plan) {
  for (uint64_t i = 0; i < SAMPLES; i++) s->sample[i] = rig_sample(s->graph, seed * 31 + i);
  struct braid_edge_opts opts = {.connect = ADDRESS,
                                 .model = "net",
                                 .threads = 2,
                                 .plan = plan,
                                 .window = WINDOW,
                                 .heartbeat_ns = INT64_C(10000000000),
                                 .connect_timeout_ns = INT64_C(60000000000)};
  s->flow = (struct rig_flow){.sample = s->sample, .n_samples = SAMPLES, .window = WINDOW, .cloud = cloud};
  cloud->sample = s->sample;
  cloud->n_samples = SAMPLES;
  MUST(braid_edge_start(s->graph, &opts, &s->flow.edge));
}

static void scene_end(struct scene *s) {
  braid_edge_stop(&s->flow.edge);
  for (int i = 0; i < SAMPLES; i++) rig_sample_free(s->sample[i]);
}

/* ------------------------------------------------------------------------------------------------------- cases */

/* Any plan, returns included; the cloud goes after another number of messages each time: in the middle of frames, of
 * the conversation, or between. */
static void die_again(uint64_t seed) {
  char name[96];
  snprintf(name, sizeof name, "a cloud dies %d times, BRAID_SEED=%llu", DEATHS, (unsigned long long)seed);
  rig_case(name, 120);
  struct scene s = {.graph = rig_graph(seed, 6 + (int)(seed % 25), (unsigned)(seed % RANDOM_GRAPH_FLAGS))};
  struct braid_plan *plan = draw_plan(s.graph, seed);
  struct rig_cloud *cloud = start_cloud(&s);
  struct middle m = {0};
  middle_start(&m, cloud, -1, -1);
  scene_start(&s, cloud, seed, plan);
  for (int i = 0; i < 20; i++) rig_flow_step(&s.flow);
  atomic_store(&m.stop, true);
  for (int i = 1; i <= DEATHS; i++) {
    while (!atomic_load(&m.dead)) rig_flow_step(&s.flow);
    pthread_join(m.thread, NULL);
    middle_start(&m, cloud, i < DEATHS ? 1 + (int)(braid_random_u64(seed, (uint64_t)i) % 40) : -1, -1);
  }
  while (s.flow.last_epoch == 0) rig_flow_step(&s.flow); /* back on the cloud */
  rig_flow_end(&s.flow);
  printf("    %llu frames, %llu of them without a cloud, %llu times alone\n", (unsigned long long)s.flow.submitted,
         (unsigned long long)stats_of(&s).alone, (unsigned long long)stats_of(&s).fallbacks);
  if (plan->deliver == BRAID_CLOUD)
    printf("    %llu are in the cloud, %d of those finished here are there, too\n", (unsigned long long)s.flow.away,
           cloud->n_delivered - (int)s.flow.away);
  scene_end(&s);
  atomic_store(&m.stop, true);
  pthread_join(m.thread, NULL);
  rig_cloud_stop(cloud);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&s.graph);
}

/* The cloud has the frames, and some rows have come back; then it is gone. The twin finishes them under their plan. */
static void finish_in_flight(uint64_t seed) {
  char name[96];
  snprintf(name, sizeof name, "frames in flight are finished, BRAID_SEED=%llu", (unsigned long long)seed);
  rig_case(name, 60);
  struct scene s = {.graph = rig_graph(seed, 6 + (int)(seed % 25), (unsigned)(seed % RANDOM_GRAPH_FLAGS))};
  struct braid_plan *plan = draw_plan(s.graph, seed);
  struct rig_cloud *cloud = start_cloud(&s);
  struct middle m = {0};
  middle_start(&m, cloud, -1, (int)(seed % 7));
  scene_start(&s, cloud, seed, plan);
  for (int i = 0; i < WINDOW; i++) rig_flow_step(&s.flow);
  atomic_store(&m.stop, true);
  while (s.flow.answered < WINDOW) {
    rig_flow_take(&s.flow);
    CHECK(s.flow.last_epoch == 1, "a frame ran under plan %d", (int)s.flow.last_epoch);
  }
  rig_flow_end(&s.flow);
  scene_end(&s);
  pthread_join(m.thread, NULL);
  rig_cloud_stop(cloud);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&s.graph);
}

/* Without a fallback the same is the end. */
static void no_fallback(uint64_t seed) {
  rig_case("without a fallback frames are lost", 60);
  struct scene s = {.graph = rig_graph(seed, 12, RANDOM_GRAPH_WEIGHTS)};
  struct braid_plan *plan = rig_plan_all(s.graph, BRAID_CLOUD);
  struct rig_cloud *cloud = rig_cloud_start("inproc", s.graph, NULL);
  struct middle m = {0};
  middle_start(&m, cloud, -1, 0);
  struct rig_sample *sample = rig_sample(s.graph, seed);
  struct braid_edge_opts opts = rig_edge_opts(cloud, plan, WINDOW);
  opts.connect = ADDRESS;
  MUST(braid_edge_start(s.graph, &opts, &s.flow.edge));
  MUST(braid_edge_submit(s.flow.edge, 1, sample->in, sample->n_in));
  atomic_store(&m.stop, true);
  struct braid_answer *answer;
  CHECK(braid_edge_wait(s.flow.edge, -1, &answer) == BRAID_ECLOSED, "an answer from nowhere");
  CHECK(braid_edge_submit(s.flow.edge, 2, sample->in, sample->n_in) == BRAID_ECLOSED, "a frame is taken");
  CHECK(braid_edge_replan(s.flow.edge, plan) == BRAID_ECLOSED, "a plan is agreed on with nobody");
  CHECK(stats_of(&s).lost == 1, "%d lost", (int)stats_of(&s).lost);
  braid_edge_stop(&s.flow.edge);
  pthread_join(m.thread, NULL);
  rig_sample_free(sample);
  rig_cloud_stop(cloud);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&s.graph);
}

/* Nobody there at first; then somebody is. */
static void start_alone(uint64_t seed) {
  rig_case("frames start without a cloud", 60);
  struct scene s = {.graph = rig_graph(seed, 12, RANDOM_GRAPH_WEIGHTS)};
  struct braid_plan *plan = rig_plan_all(s.graph, BRAID_CLOUD);
  struct rig_cloud *cloud = rig_cloud_start("inproc", s.graph, NULL);
  for (uint64_t i = 0; i < SAMPLES; i++) s.sample[i] = rig_sample(s.graph, seed * 31 + i);
  struct braid_edge_opts opts = rig_edge_opts(cloud, plan, WINDOW);
  opts.connect = "inproc://nobody," ADDRESS;
  opts.connect_timeout_ns = 20 * 1000 * 1000;
  opts.fallback = BRAID_FALLBACK_START;
  s.flow = (struct rig_flow){.sample = s.sample, .n_samples = SAMPLES, .window = WINDOW};
  MUST(braid_edge_start(s.graph, &opts, &s.flow.edge));
  for (int i = 0; i < 20; i++) rig_flow_step(&s.flow);
  CHECK(s.flow.last_epoch == 0 && stats_of(&s).fallbacks == 1, "a cloud from nowhere");
  CHECK(braid_edge_replan(s.flow.edge, NULL) == BRAID_ECLOSED, "a plan is agreed on with nobody");
  struct middle m = {0};
  middle_start(&m, cloud, -1, -1);
  while (s.flow.last_epoch == 0) rig_flow_step(&s.flow);
  CHECK(stats_of(&s).reconnects == 1, "%d reconnects", (int)stats_of(&s).reconnects);
  rig_flow_end(&s.flow);
  scene_end(&s);
  atomic_store(&m.stop, true);
  pthread_join(m.thread, NULL);
  rig_cloud_stop(cloud);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&s.graph);
}

int main(void) {
  uint64_t seed = random_graph_seed(1);
  no_fallback(seed);
  start_alone(seed);
  for (uint64_t i = 0; i < 40; i++) finish_in_flight(seed + i);
  for (uint64_t i = 0; i < 12; i++) die_again(seed + i);
  rig_done();
  return 0;
}
