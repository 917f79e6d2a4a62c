/* SPDX-License-Identifier: Apache-2.0 */
#include "stage.h"
#include "tempdir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t patience_ns = (int64_t)120 * 1000000000;

const char *stage_path(const struct stage *s, const char *file, char buf[192]) {
  snprintf(buf, 192, "%s/%s", s->dir, file);
  return buf;
}

/* ------------------------------------------------------------------------------------------- open, close */

static enum braid_status find_programs(struct stage *s) {
  ssize_t n = readlink("/proc/self/exe", s->program, sizeof s->program - 1);
  if (n <= 0) return braid_fail(BRAID_EIO, "/proc/self/exe: %s", strerror(errno));
  s->program[n] = '\0';
  int directory = (int)(strrchr(s->program, '/') - s->program);
  if (snprintf(s->linkemu, sizeof s->linkemu, "%.*s/braid-linkemu", directory, s->program) >= (int)sizeof s->linkemu)
    return braid_fail(BRAID_EINVAL, "%s: the path is too long", s->program);
  if (access(s->linkemu, X_OK) != 0)
    return braid_fail(BRAID_ENOTFOUND, "%s is missing; it is built with BRAID_BENCH=ON and lies beside braid",
                      s->linkemu);
  return BRAID_OK;
}

enum braid_status stage_open(struct stage *s) {
  s->edge_cpu = child_cpu(0);
  s->cloud_cpu = child_cpu(1);
  if (s->heartbeat == 0) s->heartbeat = 500 * INT64_C(1000000);
  s->cloud.to = s->cloud.from = s->link.to = s->link.from = -1;
  BRAID_TRY(find_programs(s));
  BRAID_TRY(tempdir_make("stage", s->dir));
  if (s->edge_cpu == s->cloud_cpu)
    braid_log(BRAID_LOG_WARN, "one CPU only: edge and cloud share it, measured times will be off");
  return BRAID_OK;
}

void stage_close(struct stage *s, bool keep) {
  stage_end_model(s);
  if (!*s->dir) return;
  if (keep)
    fprintf(stderr, "braid: logs and profiles are kept in %s\n", s->dir);
  else
    tempdir_remove(s->dir);
  s->dir[0] = '\0';
}

/* --------------------------------------------------------------------------------- programs that end by themselves */

static enum braid_status run_to_end(const char *name, const char *const *argv, int cpu, const char *log) {
  char line[256];
  struct child child;
  BRAID_TRY(child_start(name, argv, cpu, log, &child));
  enum braid_status status = BRAID_OK;
  while (status == BRAID_OK) status = child_line(&child, patience_ns, line, sizeof line);
  if (status != BRAID_ECLOSED || cli_interrupted()) {
    child_stop(&child);
    return status;
  }
  return child_wait(&child) == 0 ? BRAID_OK : braid_fail(BRAID_EIO, "%s failed; see %s", name, log);
}

enum braid_status stage_expect(struct stage *s) {
  char output[192], log[192];
  const char *const argv[] = {s->program,  "run", s->model,    "--output", stage_path(s, "expected_{name}.npy", output),
                              "--threads", "1",   "--kernels", s->kernels, "--top",
                              "0",         NULL};
  if (!s->graph) BRAID_TRY(braid_model_open(s->model, &(struct braid_open_opts){0}, &s->graph));
  return run_to_end("braid run", argv, s->cloud_cpu, stage_path(s, "run.log", log));
}

/* Measured on the edge's CPU by a process of its own, as the edge would. */
enum braid_status stage_measure_edge(struct stage *s) {
  char log[192], file[192], ratio[32];
  snprintf(ratio, sizeof ratio, "%.15g", s->ratio);
  unlink(stage_path(s, "edge.json", file));
  const char *const argv[] = {s->program, "profile",   s->model,   "--slow",   ratio, "--threads",
                              "1",        "--kernels", s->kernels, "--output", file,  NULL};
  s->profiled = 0;
  BRAID_TRY(run_to_end("braid profile", argv, s->edge_cpu, stage_path(s, "profile.log", log)));
  s->profiled = s->ratio;
  return BRAID_OK;
}

/* ---------------------------------------------------------------------------------------------- servers */

/* Waits for "listening on ADDRESS", copies ADDRESS. */
static enum braid_status hear_address(struct child *c, int64_t timeout_ns, char *buf, size_t size) {
  static const char said[] = "listening on ";
  char line[256];
  do BRAID_TRY(child_line(c, timeout_ns, line, sizeof line));
  while (strncmp(line, said, sizeof said - 1) != 0);
  const char *address = line + sizeof said - 1;
  if (strlen(address) >= size) return braid_fail(BRAID_EPROTO, "%s listens on a strange address", c->name);
  memcpy(buf, address, strlen(address) + 1);
  return BRAID_OK;
}

enum braid_status stage_start_cloud(struct stage *s) {
  char log[192], trace[192], heartbeat[32];
  snprintf(heartbeat, sizeof heartbeat, "%.15gms", (double)s->heartbeat / 1e6);
  const char *const argv[] = {s->program,  "cloud",    "--listen",    "tcp://127.0.0.1:0",
                              "--threads", "1",        "--profiles",  s->dir,
                              "--preload", s->model,   "--trace",     stage_path(s, "cloud.trace.json", trace),
                              "--kernels", s->kernels, "--heartbeat", heartbeat,
                              NULL};
  BRAID_TRY(child_start("braid cloud", argv, s->cloud_cpu, stage_path(s, "cloud.log", log), &s->cloud));
  enum braid_status status = hear_address(&s->cloud, patience_ns, s->cloud_address, sizeof s->cloud_address);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "see %s", log);
}

enum braid_status stage_start_link(struct stage *s) {
  char log[192], up[32], down[32], rtt[32], address[64];
  const char *to = strncmp(s->cloud_address, "tcp://", 6) == 0 ? s->cloud_address + 6 : s->cloud_address;
  child_stop(&s->link);
  snprintf(up, sizeof up, "%.15gmbit", s->up / 1e6);
  snprintf(down, sizeof down, "%.15gmbit", s->down / 1e6);
  snprintf(rtt, sizeof rtt, "%.15gms", (double)s->rtt / 1e6);
  const char *const argv[] = {s->linkemu,
                              "--to",
                              to,
                              "--listen",
                              "127.0.0.1:0",
                              s->trace ? "--trace-up" : "--up",
                              s->trace ? s->trace : up,
                              s->trace ? "--trace-down" : "--down",
                              s->trace ? s->trace : down,
                              "--rtt",
                              rtt,
                              "--quit-on-eof",
                              NULL};
  BRAID_TRY(child_start("braid-linkemu", argv, s->edge_cpu, stage_path(s, "link.log", log), &s->link));
  enum braid_status status = hear_address(&s->link, (int64_t)10 * 1000000000, address, sizeof address);
  snprintf(s->url, sizeof s->url, "tcp://%s", address);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "see %s", log);
}

void stage_end_servers(struct stage *s) {
  child_stop(&s->link);
  child_stop(&s->cloud);
}

void stage_end_model(struct stage *s) {
  stage_end_servers(s);
  braid_graph_destroy(&s->graph);
  s->profiled = 0;
}

enum braid_status stage_set(struct stage *s, const struct stage_scene *scene) {
  bool other = !s->graph || strcmp(s->model, scene->model) != 0;
  if (other) {
    stage_end_model(s);
    s->model = scene->model;
    BRAID_TRY(stage_expect(s));
  }
  s->ratio = scene->ratio;
  if (s->profiled != s->ratio) BRAID_TRY(stage_measure_edge(s));
  if (other) BRAID_TRY(stage_start_cloud(s));
  s->up = s->down = scene->mbit * 1e6;
  s->rtt = (int64_t)scene->rtt_ms * 1000000;
  return stage_start_link(s);
}
