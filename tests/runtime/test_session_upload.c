/* SPDX-License-Identifier: Apache-2.0
 * Models that edges bring: taken where both sides allow it, found again, refused by size, quota, memory, hash and
 * content; hostile parts, edges that vanish or stall, and several that have the same to send. Of what was not taken
 * nothing stays. */
#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "random_graph.h"
#include "session_rig.h"

#define MIB ((size_t)1 << 20)
enum { PART = 32 << 10, PATH_BYTES = 512 };

static const char *scheme;
static char top[] = "/tmp/braid-upload-XXXXXX"; /* model files; the cloud's folder is in it */
static struct braid_graph *served;              /* what the cloud has, as "net" */

/* A model's file, and what is to be said of it. */
struct model {
  char path[PATH_BYTES], hash[65], sha256[65];
  struct braid_graph *graph;
  uint8_t *data;
  size_t size;
};

/* --------------------------------------------------------------------------------------------------- files */

static void sha256_of(const void *data, size_t size, char text[65]) {
  struct braid_sha256 *sha;
  MUST(braid_sha256_create(&sha));
  braid_sha256_add(sha, data, size);
  braid_sha256_text(sha, text);
  braid_sha256_destroy(&sha);
}

static void read_file(struct model *m) {
  FILE *file = fopen(m->path, "rb");
  struct stat st;
  CHECK(file && fstat(fileno(file), &st) == 0, "%s", m->path);
  m->size = (size_t)st.st_size;
  m->data = malloc(m->size);
  CHECK(fread(m->data, 1, m->size, file) == m->size, "%s", m->path);
  fclose(file);
  sha256_of(m->data, m->size, m->sha256);
}

/* Takes the graph that is written; the model has what is read. */
static struct model model_of(const char *name, struct braid_graph *graph) {
  struct model m = {.graph = NULL};
  snprintf(m.path, sizeof m.path, "%s/%s.onnx", top, name);
  MUST(braid_onnx_save(graph, m.path));
  braid_graph_destroy(&graph);
  MUST(braid_model_open(m.path, &(struct braid_open_opts){.one_file = true}, &m.graph));
  braid_graph_hash_text(m.graph, m.hash);
  read_file(&m);
  return m;
}

static struct model make_model(const char *name, uint64_t seed) {
  return model_of(name, rig_graph(random_graph_seed(seed), 16, RANDOM_GRAPH_WEIGHTS));
}

/* A file of weights for the most part. */
static struct model make_large_model(size_t size) {
  struct braid_graph *graph;
  int in[2], id, side = (int)(size / 4 / 64);
  float *data = braid_malloc((size_t)side * 64 * sizeof *data);
  MUST(braid_graph_create("large", &graph));
  for (int i = 0; i < side * 64; i++) data[i] = braid_random_f32(9, (uint64_t)i);
  MUST(braid_graph_adopt(graph, data, braid_free));
  struct braid_tensor weights = {data, BRAID_F32, braid_shape_of(2, (int[]){side, 64})};
  struct braid_shape shape = braid_shape_of(2, (int[]){1, side});
  MUST(braid_graph_add_input(graph, "x", BRAID_F32, &shape, &in[0]));
  MUST(braid_graph_add_constant(graph, "w", &weights, &in[1]));
  MUST(braid_graph_add(graph, BRAID_OP_MATMUL, NULL, in, 2, NULL, "y", &id));
  MUST(braid_graph_add_output(graph, id));
  MUST(braid_graph_seal(graph, BRAID_PASS_ALL));
  return model_of("large", graph);
}

static void free_model(struct model *m) {
  braid_graph_destroy(&m->graph);
  free(m->data);
  unlink(m->path);
}

static void in_store(const char *name, char path[PATH_BYTES]) {
  snprintf(path, PATH_BYTES, "%s/cloud/uploaded/%s", top, name);
}

/* Names that begin so, in the folder of uploaded models. */
static int count_names(const char *begin, const char *end) {
  char path[PATH_BYTES];
  int n = 0;
  in_store("", path);
  DIR *dir = opendir(path);
  CHECK(dir, "%s", path);
  for (const struct dirent *e; (e = readdir(dir));) {
    size_t length = strlen(e->d_name), tail = strlen(end);
    n += strncmp(e->d_name, begin, strlen(begin)) == 0 && length >= tail && strcmp(e->d_name + length - tail, end) == 0;
  }
  closedir(dir);
  return n;
}
static int count_parts(void) { return count_names("part-", ""); }
static int count_models(void) { return count_names("", ".onnx") - count_parts(); }

static void empty_store(void) {
  char path[PATH_BYTES];
  in_store("", path);
  DIR *dir = opendir(path);
  for (const struct dirent *e; dir && (e = readdir(dir));)
    if (e->d_name[0] != '.') {
      in_store(e->d_name, path);
      CHECK(unlink(path) == 0, "%s", path);
    }
  if (dir) closedir(dir);
}

/* --------------------------------------------------------------------------------------------------- cloud */

struct scene {
  struct braid_store *store;
  struct rig_cloud *cloud;
};

static void open_scene(struct scene *s, struct braid_store_opts limits, struct braid_cloud_opts opts) {
  char dir[PATH_BYTES];
  snprintf(dir, sizeof dir, "%s/cloud", top);
  limits.dir = dir;
  MUST(braid_store_open(&limits, &s->store));
  opts.store = s->store;
  s->cloud = rig_cloud_start(scheme, served, &opts);
}

static void open_plain(struct scene *s) {
  open_scene(s, (struct braid_store_opts){0}, (struct braid_cloud_opts){0});
}

static void close_scene(struct scene *s) {
  rig_cloud_stop(s->cloud);
  braid_store_close(&s->store);
  CHECK(count_parts() == 0, "a cloud that has stopped leaves half a model");
}

/* The same with nothing left behind. */
static void end_scene(struct scene *s) {
  close_scene(s);
  empty_store();
}

static int count_events(struct rig_cloud *rig, const char *begin) {
  int n = 0;
  pthread_mutex_lock(&rig->mutex);
  for (int i = 0; i < rig->n_events; i++) n += strncmp(rig->event[i], begin, strlen(begin)) == 0;
  pthread_mutex_unlock(&rig->mutex);
  return n;
}

/* ---------------------------------------------------------------------------------------------------- edges */

static enum braid_status start_edge(const struct scene *s, const struct model *m, const char *name, bool upload,
                                    struct braid_edge **edge) {
  struct braid_plan *plan = rig_plan_all(m->graph, BRAID_CLOUD);
  struct braid_edge_opts opts = rig_edge_opts(s->cloud, plan, 2);
  opts.model = name;
  if (upload) opts.upload = m->path;
  enum braid_status status = braid_edge_start(m->graph, &opts, edge);
  braid_plan_destroy(&plan);
  return status;
}

static void run_edge(struct braid_edge **edge, const struct model *m) {
  struct rig_sample *sample = rig_sample(m->graph, 5);
  rig_run_frames(*edge, &sample, 1, 6, 2);
  rig_sample_free(sample);
  braid_edge_stop(edge);
}

static void serve(const struct scene *s, const struct model *m, const char *name, bool upload) {
  struct braid_edge *edge;
  MUST(start_edge(s, m, name, upload, &edge));
  run_edge(&edge, m);
}

static void refused(const struct scene *s, const struct model *m, const char *name, bool upload, const char *part) {
  struct braid_edge *edge;
  CHECK(start_edge(s, m, name, upload, &edge) != BRAID_OK, "an edge was let in");
  CHECK(strstr(braid_error(), part), "refused, but not for '%s': %s", part, braid_error());
}

/* ------------------------------------------------------------------------------------------------- raw edges */

static void hello(struct braid_link *link, const char *hash, size_t size, const char *sha256) {
  char text[512];
  snprintf(text, sizeof text,
           "{\"version\":%d,\"model\":\"brought\",\"hash\":\"%s\",\"threads\":1,\"file_bytes\":%zu,"
           "\"file_sha256\":\"%s\",\"batch\":1}",
           BRAID_WIRE_VERSION, hash, size, sha256);
  rig_raw_send(link, 0, (struct braid_msg){.type = BRAID_MSG_HELLO, .node = 1}, text, strlen(text));
}

static void part(struct braid_link *link, uint64_t offset, const void *data, size_t size) {
  rig_raw_send(link, 0, (struct braid_msg){.type = BRAID_MSG_MODEL, .frame = offset}, data, size);
}

static uint64_t await_want(struct braid_link *link) {
  struct braid_msg msg = rig_raw_recv(link, NULL);
  CHECK(msg.type == BRAID_MSG_WANT, "message of type %d: %.*s", (int)msg.type, (int)msg.payload_bytes,
        (const char *)msg.payload);
  uint64_t asked = msg.frame + msg.begin;
  braid_msg_release(&msg);
  return asked;
}

/* Sends [from, to) as it is asked for; `asked`: up to where it is. */
static void send_range(struct braid_link *link, const uint8_t *data, size_t from, size_t to, size_t size,
                       uint64_t asked) {
  for (size_t at = from; at < to;) {
    while (at == asked) asked = await_want(link);
    size_t n = size < to - at ? size : to - at;
    if (n > asked - at) n = (size_t)(asked - at);
    part(link, at, data + at, n);
    at += n;
  }
}

static enum braid_msg_type await_end(struct braid_link *link, char text[512]) {
  for (;;) {
    struct braid_msg msg = rig_raw_recv(link, NULL);
    enum braid_msg_type type = msg.type;
    snprintf(text, 512, "%.*s", (int)(msg.payload_bytes < 500 ? msg.payload_bytes : 500), (const char *)msg.payload);
    braid_msg_release(&msg);
    if (type != BRAID_MSG_WANT) return type;
  }
}

static void expect_refusal(struct braid_link *link, const char *part_of_it) {
  char text[512];
  enum braid_msg_type type = await_end(link, text);
  CHECK(type == BRAID_MSG_REFUSE, "message of type %d where a REFUSE is expected: %s", (int)type, text);
  CHECK(strstr(text, part_of_it), "refused, but not for '%s': %s", part_of_it, text);
}

/* HELLO to the end of the file, and the answer. */
static void refuse_file(const struct scene *s, const char *hash, const char *sha256, const void *data, size_t size,
                        size_t part_bytes, const char *why) {
  struct braid_link *link = rig_raw_connect(s->cloud->address);
  char right[65];
  sha256_of(data, size, right);
  hello(link, hash, size, sha256 ? sha256 : right);
  send_range(link, data, 0, size, part_bytes, 0);
  expect_refusal(link, why);
  braid_link_close(&link);
  while (count_names("", ".onnx") > 0) usleep(1000);
}

/* --------------------------------------------------------------------------------------------------- taken */

static void brought(void) {
  rig_case("a model is brought, used, and found again", 60);
  struct model m = make_model("one", 11), alien = make_model("two", 12);
  struct scene s;
  char path[PATH_BYTES], name[80];
  open_plain(&s);
  serve(&s, &m, "one", true);
  snprintf(name, sizeof name, "%s.onnx", m.sha256);
  in_store(name, path);
  CHECK(access(path, R_OK) == 0, "%s is not there", path);
  serve(&s, &m, "another name", false);
  serve(&s, &m, "one", true);
  CHECK(count_events(s.cloud, "uploaded") == 1, "it was uploaded again");
  refused(&s, &alien, "two", false, "--upload-model");
  serve(&s, &alien, "net", true); /* a name that means another network here */
  CHECK(count_models() == 2, "%d models", count_models());
  close_scene(&s);
  open_plain(&s); /* a cloud that is started again */
  serve(&s, &m, "x", false);
  serve(&s, &alien, "net", false);
  CHECK(count_events(s.cloud, "upload") == 0, "it was uploaded again");
  close_scene(&s);
  in_store("", path); /* what is noted of it is lost: its file is known by its name */
  snprintf(name, sizeof name, "%s.network", m.hash);
  in_store(name, path);
  CHECK(unlink(path) == 0, "%s", path);
  open_plain(&s);
  refused(&s, &m, "x", false, "--upload-model");
  serve(&s, &m, "x", true);
  CHECK(count_events(s.cloud, "upload") == 0, "it was uploaded again");
  serve(&s, &m, "x", false);
  end_scene(&s);
  free_model(&m);
  free_model(&alien);
}

/* What is not used any more is unloaded; nobody else's memory is left taken. */
static void unloaded(void) {
  rig_case("a model takes memory while it is used", 60);
  struct model m = make_large_model(2 * MIB);
  struct scene s;
  struct braid_cloud_stats stats;
  open_plain(&s);
  for (int i = 0; i < 2; i++) {
    struct braid_edge *edge;
    MUST(start_edge(&s, &m, "large", true, &edge));
    braid_cloud_stats(s.cloud->cloud, &stats);
    CHECK(stats.memory_bytes >= 2 * MIB - 4096, "%zu bytes for weights", stats.memory_bytes);
    CHECK(stats.memory_limit_bytes > 0, "edges choose how much memory is used");
    run_edge(&edge, &m);
    do braid_cloud_stats(s.cloud->cloud, &stats);
    while (stats.memory_bytes > 0);
  }
  end_scene(&s);
  free_model(&m);
}

/* Without a profile a plan compiles at once: its network must not go while the plan is being made. */
static void gone_while_compiling(void) {
  rig_case("an edge goes while its plan is compiled", 60);
  struct model m = make_model("one", 13);
  struct braid_plan *plan = rig_plan_all(m.graph, BRAID_CLOUD);
  char *json;
  struct scene s;
  open_plain(&s);
  serve(&s, &m, "one", true);
  MUST(braid_plan_to_json(plan, m.graph, NULL, -1, &json));
  for (int i = 0; i < 20; i++) {
    struct braid_link *link = rig_raw_connect(s.cloud->address);
    char text[512];
    hello(link, m.hash, m.size, m.sha256);
    CHECK(await_end(link, text) == BRAID_MSG_WELCOME, "%s", text);
    for (uint32_t epoch = 1; epoch <= 4; epoch++) rig_raw_plan(link, epoch, 2, json);
    if (i % 2) rig_raw_send(link, 0, (struct braid_msg){.type = BRAID_MSG_BYE}, NULL, 0);
    braid_link_close(&link);
  }
  serve(&s, &m, "one", false);
  end_scene(&s);
  braid_free(json);
  braid_plan_destroy(&plan);
  free_model(&m);
}

/* More networks than profiles are kept: the first is measured again. */
static void many_models(void) {
  enum { N = 70 };
  rig_case("many models", 120);
  struct scene s;
  char text[512];
  open_plain(&s);
  for (int i = 0; i <= N; i++) {
    struct model m = make_model("one", 100 + (uint64_t)(i % N));
    struct braid_link *link = rig_raw_connect(s.cloud->address);
    hello(link, m.hash, m.size, m.sha256);
    if (i < N) send_range(link, m.data, 0, m.size, PART, 0);
    CHECK(await_end(link, text) == BRAID_MSG_WELCOME, "%s", text);
    braid_link_close(&link);
    free_model(&m);
  }
  CHECK(count_models() == N, "%d models", count_models());
  end_scene(&s);
}

/* ------------------------------------------------------------------------------------------------- refused */

static void not_allowed(void) {
  rig_case("a cloud that takes no models", 60);
  struct model m = make_model("one", 14);
  struct scene s = {.cloud = rig_cloud_start(scheme, served, NULL)};
  refused(&s, &m, "one", true, "--accept-models");
  refused(&s, &m, "one", false, "--accept-models on the cloud, --upload-model on the edge");
  refused(&s, &m, "net", true, "--accept-models");
  rig_cloud_stop(s.cloud);
  free_model(&m);
}

static void too_much(void) {
  rig_case("models that are too large, or too many", 60);
  struct model m = make_model("one", 15), other = make_model("two", 16);
  struct scene s;
  open_scene(&s, (struct braid_store_opts){.max_model_bytes = m.size - 1}, (struct braid_cloud_opts){0});
  refused(&s, &m, "one", true, "--max-model");
  end_scene(&s);
  open_scene(&s, (struct braid_store_opts){.quota_bytes = m.size + other.size - 1}, (struct braid_cloud_opts){0});
  serve(&s, &m, "one", true);
  refused(&s, &other, "two", true, "--models-quota");
  serve(&s, &m, "one", true);
  CHECK(count_models() == 1, "%d models", count_models());
  end_scene(&s);
  free_model(&m);
  free_model(&other);
}

/* A limit on files stands for a disk that is full. */
static void disk_full(void) {
  rig_case("no room on the disk", 60);
  struct model m = make_large_model(MIB);
  struct scene s;
  struct rlimit before, small;
  open_plain(&s);
  signal(SIGXFSZ, SIG_IGN);
  CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0, "getrlimit");
  small = before;
  small.rlim_cur = 64 << 10;
  CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0, "setrlimit");
  refused(&s, &m, "large", true, "no room on its disk");
  CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0, "setrlimit");
  while (count_parts() > 0) usleep(1000);
  serve(&s, &m, "large", true);
  end_scene(&s);
  free_model(&m);
}

/* Small to send, large to run. */
static void too_large_to_run(void) {
  rig_case("a model that needs more than the cloud has", 60);
  struct braid_graph *graph;
  struct braid_shape shape = braid_shape_of(4, (int[]){1, 64, 512, 512});
  int id;
  MUST(braid_graph_create("wide", &graph));
  MUST(braid_graph_add_input(graph, "x", BRAID_F32, &shape, &id));
  MUST(braid_graph_add(graph, BRAID_OP_EXP, NULL, &id, 1, NULL, "y", &id));
  MUST(braid_graph_add_output(graph, id));
  MUST(braid_graph_seal(graph, BRAID_PASS_ALL));
  struct model m = model_of("wide", graph);
  struct scene s;
  open_scene(&s, (struct braid_store_opts){0}, (struct braid_cloud_opts){.memory_bytes = 96 * MIB});
  for (int i = 0; i < 2; i++) { /* sent, then found */
    struct braid_link *link = rig_raw_connect(s.cloud->address);
    hello(link, m.hash, m.size, m.sha256);
    if (i == 0) send_range(link, m.data, 0, m.size, PART, 0);
    expect_refusal(link, "--memory");
    braid_link_close(&link);
  }
  refused(&s, &m, "wide", true, "--memory"); /* one that wants no profile, but a plan */
  end_scene(&s);
  free_model(&m);
}

static void not_what_was_said(void) {
  rig_case("files that are not what was said", 60);
  struct model m = make_model("one", 17), other = make_model("two", 18);
  struct scene s;
  open_plain(&s);
  refuse_file(&s, other.hash, NULL, m.data, m.size, PART, "gives hash");
  refuse_file(&s, m.hash, other.sha256, m.data, m.size, PART, "SHA-256");
  size_t size = 5 * MIB;
  uint8_t *garbage = malloc(size);
  for (size_t i = 0; i < size; i++) garbage[i] = (uint8_t)braid_random_u64(3, i);
  refuse_file(&s, m.hash, NULL, garbage, 1, PART, "cannot be used here");
  /* Also: more than a thousand messages at once, which the cloud has asked for. */
  refuse_file(&s, m.hash, NULL, garbage, size, BRAID_MODEL_PART_MIN, "cannot be used here");
  refuse_file(&s, m.hash, NULL, garbage, size, BRAID_MODEL_PART_MAX, "cannot be used here");
  free(garbage);
  /* x + w, with w in a file beside it: that could be anybody's. */
  static const char outside[] =
      "\x08\x07\x3a\x4f\x0a\x0e\x0a\x01\x78\x0a\x01\x77\x12\x01\x79\x22\x03\x41\x64\x64\x12\x01\x67\x2a\x18"
      "\x08\x01\x10\x01\x42\x01\x77\x6a\x0d\x0a\x08\x6c\x6f\x63\x61\x74\x69\x6f\x6e\x12\x01\x77\x70\x01\x5a"
      "\x0f\x0a\x01\x78\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\x62\x0f\x0a\x01\x79\x12\x0a\x0a\x08"
      "\x08\x01\x12\x04\x0a\x02\x08\x01\x42\x02\x10\x0d";
  refuse_file(&s, m.hash, NULL, outside, sizeof outside - 1, PART, "whole in one file");
  end_scene(&s);
  free_model(&m);
  free_model(&other);
}

/* Its file changes after it was hashed: the cloud finds out. */
static void changed_meanwhile(void) {
  rig_case("a file that changes while it is offered", 60);
  struct model m = make_model("one", 19);
  struct scene s;
  struct braid_edge *edge;
  struct braid_plan *plan = rig_plan_all(m.graph, BRAID_CLOUD);
  open_plain(&s);
  char path[PATH_BYTES + 8];
  snprintf(path, sizeof path, "%s.gone", m.path);
  CHECK(rename(m.path, path) == 0, "rename");
  struct braid_edge_opts opts = rig_edge_opts(s.cloud, plan, 2);
  opts.model = "one";
  opts.upload = m.path;
  CHECK(braid_edge_start(m.graph, &opts, &edge) == BRAID_ENOTFOUND && strstr(braid_error(), m.path), "%s",
        braid_error());
  opts.upload = top;
  CHECK(braid_edge_start(m.graph, &opts, &edge) == BRAID_EINVAL && strstr(braid_error(), top), "%s", braid_error());
  /* Whole, but of another network than the one that runs. */
  struct model other = make_model("two", 20);
  opts.upload = other.path;
  CHECK(braid_edge_start(m.graph, &opts, &edge) == BRAID_EMISMATCH && strstr(braid_error(), "gives hash"), "%s",
        braid_error());
  end_scene(&s);
  braid_plan_destroy(&plan);
  unlink(path);
  free_model(&m);
  free_model(&other);
}

/* ------------------------------------------------------------------------------------------------- hostile */

static uint8_t zeros[2 * MIB];

struct attack {
  const char *name;
  size_t file_bytes;
  void (*run)(struct braid_link *link, uint64_t asked);
  const char *part;
};

static void from_elsewhere(struct braid_link *l, uint64_t asked) {
  (void)asked;
  part(l, 4096, zeros, PART);
}
static void twice(struct braid_link *l, uint64_t asked) {
  (void)asked;
  part(l, 0, zeros, PART);
  part(l, 0, zeros, PART);
}
static void far_away(struct braid_link *l, uint64_t asked) {
  (void)asked;
  part(l, UINT64_MAX, zeros, PART);
}
static void beyond(struct braid_link *l, uint64_t asked) {
  part(l, 0, zeros, (size_t)asked + 1);
}
static void in_crumbs(struct braid_link *l, uint64_t asked) {
  (void)asked;
  for (int i = 0; i < 10; i++) part(l, (uint64_t)i, zeros, 1);
}
static void of_nothing(struct braid_link *l, uint64_t asked) {
  (void)asked;
  part(l, 0, NULL, 0);
}
static void of_a_megabyte(struct braid_link *l, uint64_t asked) {
  (void)asked;
  part(l, 0, zeros, MIB);
}
static void a_plan_instead(struct braid_link *l, uint64_t asked) {
  (void)asked;
  rig_raw_plan(l, 1, 1, "{}");
}
static void wants_itself(struct braid_link *l, uint64_t asked) {
  (void)asked;
  rig_raw_send(l, 0, (struct braid_msg){.type = BRAID_MSG_WANT, .begin = 5}, NULL, 0);
}

static void hostile(void) {
  static const struct attack attacks[] = {
      {"MODEL from elsewhere", 2 * MIB + 1, from_elsewhere, "where byte 0 is next"},
      {"MODEL twice", 2 * MIB + 1, twice, "where byte 32768 is next"},
      {"MODEL from the end of the world", 2 * MIB + 1, far_away, "where byte 0 is next"},
      {"MODEL beyond what is asked for", PART, beyond, "where 32768 are asked for"},
      {"MODEL in crumbs", 2 * MIB + 1, in_crumbs, "only the last"},
      {"MODEL of nothing", 2 * MIB + 1, of_nothing, "only the last"},
      {"MODEL of a megabyte", 2 * MIB + 1, of_a_megabyte, "the limit is 262144"},
      {"PLAN in place of MODEL", 2 * MIB + 1, a_plan_instead, "PLAN before WELCOME"},
      {"WANT from an edge", 2 * MIB + 1, wants_itself, "unexpected message"},
  };
  struct model m = make_model("one", 21);
  struct scene s;
  open_plain(&s);
  serve(&s, &m, "one", true);
  for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
    rig_case(attacks[i].name, 30);
    struct braid_link *link = rig_raw_connect(s.cloud->address);
    char sha256[65];
    snprintf(sha256, sizeof sha256, "%064zu", i);
    hello(link, sha256, attacks[i].file_bytes, sha256);
    attacks[i].run(link, await_want(link));
    expect_refusal(link, attacks[i].part);
    braid_link_close(&link);
    while (count_parts() > 0) usleep(1000);
    serve(&s, &m, "one", false);
  }
  rig_case("MODEL that nobody wants", 30);
  struct braid_link *link = rig_raw_connect(s.cloud->address);
  part(link, 0, zeros, PART);
  expect_refusal(link, "HELLO comes first");
  braid_link_close(&link);
  link = rig_raw_connect(s.cloud->address);
  rig_raw_hello(link, served);
  part(link, 0, zeros, PART);
  expect_refusal(link, "nobody has asked for");
  braid_link_close(&link);
  CHECK(count_models() == 1, "%d models", count_models());
  end_scene(&s);
  free_model(&m);
}

/* A cloud that is not one: it asks for what it was not offered, or for more than there is. */
struct false_cloud {
  struct braid_link *link;
  struct braid_msg want;
  int times;
};

static void *answer_with_want(void *arg) {
  struct false_cloud *f = arg;
  braid_peer peer;
  struct braid_msg msg = rig_raw_recv(f->link, &peer);
  braid_msg_release(&msg);
  for (int i = 0; i < f->times; i++) rig_raw_send(f->link, peer, f->want, NULL, 0);
  do {
    braid_msg_release(&msg);
    msg = rig_raw_recv(f->link, &peer);
  } while (msg.type == BRAID_MSG_MODEL);
  braid_msg_release(&msg);
  return NULL;
}

static pthread_t open_false_cloud(struct scene *s, struct false_cloud *f) {
  pthread_t thread;
  MUST(braid_link_open(strcmp(scheme, "tcp") == 0 ? "tcp://127.0.0.1:0" : "inproc://false",
                       &(struct braid_link_opts){.listen = true}, &f->link));
  snprintf(s->cloud->address, sizeof s->cloud->address, "%s", braid_link_address(f->link));
  CHECK(pthread_create(&thread, NULL, answer_with_want, f) == 0, "thread");
  return thread;
}

static void false_cloud(const char *what, bool upload, struct braid_msg want, const char *part_of_it) {
  rig_case(what, 60);
  struct model m = make_model("one", 22);
  struct rig_cloud rig = {0};
  struct false_cloud f = {.want = want, .times = 2}; /* one MODEL comes in between, at most */
  struct scene s = {.cloud = &rig};
  pthread_t thread = open_false_cloud(&s, &f);
  refused(&s, &m, "one", upload, part_of_it);
  pthread_join(thread, NULL);
  braid_link_close(&f.link);
  free_model(&m);
}

/* An edge that may begin without a cloud does not wait until a model has gone over a slow link. */
static void alone_meanwhile(void) {
  rig_case("frames run alone while the model is sent", 60);
  struct model m = make_model("one", 23);
  struct rig_cloud rig = {0};
  struct false_cloud f = {.want = {.type = BRAID_MSG_WANT, .begin = 4096}, .times = 1};
  struct scene s = {.cloud = &rig};
  pthread_t thread = open_false_cloud(&s, &f);
  struct braid_plan *plan = rig_plan_all(m.graph, BRAID_CLOUD);
  struct braid_edge_opts opts = rig_edge_opts(&rig, plan, 2);
  struct braid_edge *edge;
  opts.upload = m.path;
  opts.fallback = BRAID_FALLBACK_START;
  MUST(braid_edge_start(m.graph, &opts, &edge));
  run_edge(&edge, &m);
  pthread_join(thread, NULL);
  braid_link_close(&f.link);
  braid_plan_destroy(&plan);
  free_model(&m);
}

static void false_clouds(void) {
  struct braid_msg want = {.type = BRAID_MSG_WANT, .begin = 4096};
  false_cloud("a cloud that wants what was not offered", false, want, "was not offered");
  want.begin = INT32_MAX;
  false_cloud("a cloud that wants more than there is", true, want, "WANT of");
  want = (struct braid_msg){.type = BRAID_MSG_WANT, .begin = 4096, .frame = UINT64_MAX - 4000};
  false_cloud("a cloud that has what was not sent", true, want, "WANT of");
  want = (struct braid_msg){.type = BRAID_MSG_WANT, .begin = 0};
  false_cloud("a cloud that wants nothing, again and again", true, want, "WANT of");
}

/* -------------------------------------------------------------------------------------- ends, and others */

static struct braid_link *begin_half(const struct scene *s, const struct model *m, size_t half) {
  struct braid_link *link = rig_raw_connect(s->cloud->address);
  hello(link, m->hash, m->size, m->sha256);
  send_range(link, m->data, 0, half, PART, 0);
  return link;
}

static void vanishes(void) {
  rig_case("an edge vanishes half way; a cloud stops half way", 60);
  struct model m = make_large_model(2 * MIB);
  struct scene s;
  open_plain(&s);
  struct braid_link *link = begin_half(&s, &m, MIB);
  CHECK(count_parts() == 1, "%d files on their way", count_parts());
  braid_link_close(&link);
  rig_cloud_await(s.cloud, "l", "after 0 frames"); /* lost, or left */
  while (count_parts() > 0) usleep(1000);
  link = begin_half(&s, &m, MIB);
  CHECK(count_parts() == 1, "%d files on their way", count_parts());
  close_scene(&s); /* and looks whether any is left */
  CHECK(count_models() == 0, "half a model is taken for one");
  braid_link_close(&link);
  free_model(&m);
  empty_store();
}

static void drains(void) {
  rig_case("a cloud that drains takes no more of a model", 60);
  struct model m = make_large_model(2 * MIB);
  struct scene s;
  open_plain(&s);
  struct braid_link *link = begin_half(&s, &m, MIB);
  braid_cloud_drain(s.cloud->cloud);
  expect_refusal(link, "about to stop");
  while (count_parts() > 0) usleep(1000);
  braid_link_close(&link);
  end_scene(&s);
  free_model(&m);
}

/* Of a cloud that was killed; not of one that is still at it. */
static void leftovers(void) {
  rig_case("leftovers are removed at the start", 60);
  struct scene s;
  char path[2][PATH_BYTES];
  in_store("part-abcdef.onnx", path[0]);
  in_store("part-ghijkl.onnx", path[1]);
  FILE *file[2];
  for (int i = 0; i < 2; i++) CHECK((file[i] = fopen(path[i], "w")), "%s", path[i]);
  CHECK(flock(fileno(file[1]), LOCK_EX) == 0, "flock");
  open_plain(&s);
  CHECK(access(path[0], F_OK) != 0, "%s is still there", path[0]);
  CHECK(access(path[1], F_OK) == 0, "%s is another's", path[1]);
  CHECK(unlink(path[1]) == 0, "%s", path[1]);
  for (int i = 0; i < 2; i++) fclose(file[i]);
  end_scene(&s);
  struct braid_store *store;
  CHECK(braid_store_open(&(struct braid_store_opts){.dir = "/dev/null"}, &store) == BRAID_EIO, "a store in /dev/null");
  CHECK(strstr(braid_error(), "/dev/null"), "%s", braid_error());
}

/* It pings, but does not send: others want its place. */
static void stalls(void) {
  rig_case("an edge that does not go on", 60);
  struct model m = make_large_model(2 * MIB);
  struct scene s;
  open_scene(&s, (struct braid_store_opts){0}, (struct braid_cloud_opts){.heartbeat_ns = 250 * 1000 * 1000});
  struct braid_link *link = begin_half(&s, &m, MIB);
  expect_refusal(link, "the model does not come");
  braid_link_close(&link);
  while (count_parts() > 0) usleep(1000);
  end_scene(&s);
  free_model(&m);
}

struct late {
  const struct scene *scene;
  const struct model *model;
};

static void *come_late(void *arg) {
  const struct late *late = arg;
  serve(late->scene, late->model, "large", true);
  return NULL;
}

/* One sends, another with the same model waits, and has it in the end, whatever becomes of the first. */
static void two_with_one_model(bool first_goes) {
  rig_case(first_goes ? "two with the same model, the first goes" : "two with the same model", 60);
  struct model m = make_large_model(2 * MIB);
  struct scene s;
  pthread_t thread;
  open_plain(&s);
  struct braid_link *link = begin_half(&s, &m, MIB);
  struct late late = {&s, &m};
  CHECK(pthread_create(&thread, NULL, come_late, &late) == 0, "thread");
  rig_cloud_await(s.cloud, "upload", "waits for its turn");
  CHECK(count_parts() == 1, "%d files on their way", count_parts());
  char text[512];
  if (!first_goes) {
    send_range(link, m.data, MIB, m.size, PART, MIB);
    CHECK(await_end(link, text) == BRAID_MSG_WELCOME, "%s", text);
  }
  if (first_goes) braid_link_close(&link);
  pthread_join(thread, NULL);
  if (link) braid_link_close(&link);
  CHECK(count_events(s.cloud, "uploaded") == 1, "uploaded %d times", count_events(s.cloud, "uploaded"));
  CHECK(count_models() == 1, "%d models", count_models());
  end_scene(&s);
  free_model(&m);
}

/* Over tcp they are one edge, by its address, and one edge has half of the places. */
static void many_at_once(void) {
  enum { MOST = 4 };
  const int at_once = strcmp(scheme, "tcp") == 0 ? MOST / 2 : MOST, n = at_once + 1;
  rig_case("more uploads than are taken at once", 60);
  struct scene s;
  open_plain(&s);
  struct braid_link *link[MOST + 1];
  for (int i = 0; i < n; i++) {
    char sha256[65];
    snprintf(sha256, sizeof sha256, "%064d", i);
    link[i] = rig_raw_connect(s.cloud->address);
    hello(link[i], sha256, MIB, sha256);
    if (i < at_once) CHECK(await_want(link[i]) == MIB, "asks for another amount");
  }
  rig_cloud_await(s.cloud, "upload", "waits for its turn");
  CHECK(count_parts() == at_once, "%d files on their way", count_parts());
  braid_link_close(&link[1]);
  CHECK(await_want(link[at_once]) == MIB, "asks for another amount");
  for (int i = 0; i < n; i++) braid_link_close(&link[i]);
  end_scene(&s);
}

/* ----------------------------------------------------------------------------------------------- a broker */

static void through_a_broker(void) {
  rig_case("through a broker", 60);
  struct model m = make_large_model(2 * MIB);
  bool tcp = strcmp(scheme, "tcp") == 0;
  struct braid_broker_opts opts = {.listen = tcp ? "tcp://127.0.0.1:0" : "inproc://front",
                                   .workers = tcp ? "tcp://127.0.0.1:0" : "inproc://back"};
  struct braid_broker *broker;
  struct braid_broker_stats stats;
  MUST(braid_broker_start(&opts, &broker));
  char join[256];
  const char *direct = scheme;
  struct scene s;
  snprintf(join, sizeof join, "join+%s", braid_broker_workers_address(broker));
  scheme = join;
  open_plain(&s);
  scheme = direct;
  do braid_broker_stats(broker, &stats);
  while (stats.workers == 0);
  snprintf(s.cloud->address, sizeof s.cloud->address, "%s", braid_broker_address(broker));
  serve(&s, &m, "large", true);
  serve(&s, &m, "large", false);
  CHECK(count_events(s.cloud, "uploaded") == 1 && count_models() == 1, "it did not come");
  end_scene(&s);
  braid_broker_stop(&broker);
  free_model(&m);
}

int main(int argc, char **argv) {
  scheme = argc > 1 ? argv[1] : "inproc";
  CHECK(mkdtemp(top), "no folder for the test");
  served = rig_graph(random_graph_seed(10), 12, RANDOM_GRAPH_WEIGHTS);
  brought();
  unloaded();
  gone_while_compiling();
  many_models();
  not_allowed();
  too_much();
  disk_full();
  too_large_to_run();
  not_what_was_said();
  changed_meanwhile();
  hostile();
  false_clouds();
  alone_meanwhile();
  vanishes();
  drains();
  leftovers();
  stalls();
  two_with_one_model(false);
  two_with_one_model(true);
  many_at_once();
  through_a_broker();
  braid_graph_destroy(&served);
  char path[PATH_BYTES];
  in_store("", path);
  rmdir(path);
  snprintf(path, sizeof path, "%s/cloud", top);
  rmdir(path);
  CHECK(rmdir(top) == 0, "something is left in %s", top);
  rig_done();
  return 0;
}
