/* SPDX-License-Identifier: Apache-2.0
 * Pinning on described machines: what goes where is exact. On this machine: what was planned is what the kernel then
 * says. */
#include "braid/runtime.h"
#include "pin_help.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char two_nodes[] = "synthetic: numa:2 core:4 pu:2"; /* processors 0-7 and 8-15, two a core */

static char dir[64];

static void make_dir(void) {
  snprintf(dir, sizeof dir, "/tmp/braid_pin_XXXXXX");
  cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(void) {
  static const char *const files[] = {"pin.yml", "machine.xml"};
  char path[128];
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, files[i]);
    unlink(path);
  }
  rmdir(dir);
}

TestSuite(pin, .init = make_dir, .fini = remove_dir);

static const char *write_file(const char *name, const char *text) {
  static char path[128];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *file = fopen(path, "w");
  cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
  return path;
}

static struct braid_topology *open_topology(const char *what) {
  struct braid_topology *topology = NULL;
  cr_assert_eq(braid_topology_open(what, &topology), BRAID_OK, "%s", braid_error());
  return topology;
}

/* The plan for a config text; NULL text: the default. */
static enum braid_status plan(const char *machine, const char *text, int workers, struct braid_pin **pin) {
  struct braid_topology *topology = open_topology(machine);
  enum braid_status status = braid_pin_plan(topology, text ? write_file("pin.yml", text) : NULL, workers, pin);
  braid_topology_close(&topology);
  return status;
}

/* "0-1 2-3 -": the sets of a row of threads, "-" for not bound */
static const char *sets(const struct braid_pin_thread *threads, int n) {
  static char text[1024];
  size_t used = 0;
  text[0] = '\0';
  for (int i = 0; i < n; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "",
                             threads[i].cpuset ? threads[i].cpuset : "-");
  return text;
}

static void expect_sets(const char *machine, const char *text, int workers, const char *worker_sets,
                        const char *io_sets) {
  struct braid_pin *pin = NULL;
  cr_assert_eq(plan(machine, text, workers, &pin), BRAID_OK, "%s", braid_error());
  cr_assert_str_eq(sets(pin->worker, pin->n_workers), worker_sets);
  cr_assert_str_eq(sets(pin->io, pin->n_io), io_sets);
  for (int i = 0; i < pin->n_workers; i++) {
    char name[32];
    snprintf(name, sizeof name, "worker%d", i);
    cr_assert_str_eq(pin->worker[i].name, name);
  }
  cr_assert_str_eq(pin->io[0].name, "io0");
  cr_assert_not(pin->applies);
  braid_pin_destroy(&pin);
  cr_assert_null(pin);
}

Test(pin, the_documented_config_goes_where_it_says) {
  expect_sets(two_nodes,
              "topology: this            # or an XML file\n"
              "workers:\n"
              "  - {count: 3, bind: \"numa:0.core:0-2\", memory: bind}\n"
              "io:   {bind: \"numa:0.core:3\"}\n",
              0, "0-1 2-3 4-5", "6-7");
}

Test(pin, places_are_found_level_by_level) {
  static const struct {
    const char *bind, *want;
  } cases[] = {{"pu:3", "3"},
               {"core:all", "0-1 2-3 4-5 6-7 8-9 10-11 12-13 14-15"},
               {"numa:1.core:2-", "12-13 14-15"},
               {"numa:all.core:0", "0-1 8-9"},
               {"numa:1.core:1.pu:0-1", "10 11"},
               {"machine:0", "0-15"},
               {"numanode:1", "8-15"},
               {"core:7.pu:1", "15"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[256];
    snprintf(text, sizeof text, "workers:\n  - {bind: \"%s\"}\n", cases[i].bind);
    expect_sets(two_nodes, text, 0, cases[i].want, "-");
  }
}

Test(pin, more_threads_than_places_share_them_in_turn) {
  expect_sets(two_nodes, "workers:\n  - {count: 5, bind: \"numa:1.core:0-1\"}\n  - {count: 1, bind: \"pu:0\"}\n", 6,
              "8-9 10-11 8-9 10-11 8-9 0", "-");
}

Test(pin, memory_follows_only_where_asked) {
  struct braid_pin *pin = NULL;
  cr_assert_eq(plan(two_nodes,
                    "workers:\n  - {bind: \"core:3-4\", memory: bind}\n  - {bind: \"core:5\"}\n  - {bind: \"core:5\", "
                    "memory: any}\n",
                    0, &pin),
               BRAID_OK, "%s", braid_error());
  cr_assert_eq(pin->n_workers, 4);
  static const int numa[] = {0, 1, -1, -1};
  for (int i = 0; i < 4; i++) cr_assert_eq(pin->worker[i].numa, numa[i], "worker %d", i);
  braid_pin_destroy(&pin);
}

Test(pin, by_default_workers_take_the_first_cores) {
  expect_sets(two_nodes, NULL, 0, "0-1 2-3 4-5 6-7 8-9 10-11 12-13 14-15", "-");
  expect_sets(two_nodes, NULL, 3, "0-1 2-3 4-5", "6-7");
  expect_sets("synthetic: core:2 pu:1", NULL, 2, "0 1", "-");
  expect_sets("synthetic: core:2 pu:1", NULL, 3, "- - -", "-");
  struct braid_pin *pin = NULL;
  cr_assert_eq(plan(two_nodes, NULL, 5, &pin), BRAID_OK);
  cr_assert(pin->worker[3].numa == 0 && pin->worker[4].numa == 1 && pin->io[0].numa == -1);
  braid_pin_destroy(&pin);
}

Test(pin, bad_configs_name_line_and_column) {
  static const struct {
    const char *text, *want;
  } cases[] = {
      {"", "pin.yml:1:1: "},
      {"workers:\n  - {count: x, bind: \"core:0\"}\n", "pin.yml:2:13: Invalid INT value: 'x'"},
      {"workers:\n  - {count: 1, bindx: \"core:0\"}\n", "pin.yml:2:13: Unexpected key: bindx"},
      {"topology: this\nwork: 3\n", "pin.yml:1:11: Unexpected key: work"},
      {"topology: this\n", "Missing required mapping field: workers"},
      {"workers:\n  - {count: 1}\n", "pin.yml:2:13: Missing required mapping field: bind"},
      {"workers:\n  - {bind: \"core:0\", memory: maybe}\n", "pin.yml:2:30: Invalid ENUM value: maybe"},
      {"workers:\n  - {count: 1, bind: \"core:0\"\n  - a\n", "pin.yml:2:22: libyaml:"},
      {"workers: []\n", "pin.yml:1:"},
      {"workers: &a\n  - &b {bind: \"core:0\"}\n  - *b\n", "pin.yml:"},
      {"\t: : {\n", "pin.yml:1:1: libyaml:"},
      {"workers:\n  - {count: -1, bind: \"core:0\"}\n", "count -1"},
      {"workers:\n  - {count: 99999, bind: \"core:0\"}\n", "count 99999"},
      {"workers:\n  - {bind: \"core:0\", kind: slow}\n", "pin.yml:2:28: Invalid ENUM value: slow"},
      {"workers:\n  - {bind: \"core:9.spoon:1\"}\n", "'spoon' is no kind of object"},
      {"workers:\n  - {bind: \"core\"}\n", "'core' is not TYPE:NUMBER"},
      {"workers:\n  - {bind: \"core:2-1\"}\n", "'core:2-1' is not TYPE:NUMBER"},
      {"workers:\n  - {bind: \"core:-1\"}\n", "'core:-1' is not TYPE:NUMBER"},
      {"workers:\n  - {bind: \"core:0.\"}\n", "'' is not TYPE:NUMBER"},
      {"workers:\n  - {bind: \"core:99999999999999999999\"}\n", "is not TYPE:NUMBER"},
      {"workers:\n  - {bind: \"spoon:1\"}\n", "'spoon' is no kind of object"},
      {"workers:\n  - {bind: \"core:0\"}\nio: {bind: \"core\"}\n", "io: bind 'core': 'core' is not TYPE:NUMBER"},
      {"workers:\n  - {bind: \"core:0-1\"}\n", "places 2 workers where 3 are asked for"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct braid_pin *pin = NULL;
    cr_assert_eq(plan(two_nodes, cases[i].text, 3, &pin), BRAID_EINVAL, "taken: %s", cases[i].text);
    cr_assert(strstr(braid_error(), cases[i].want), "'%s' is not in '%s'", cases[i].want, braid_error());
    cr_assert(strstr(braid_error(), "pin.yml"), "'%s' names no file", braid_error());
    cr_assert_null(pin);
  }
  struct braid_topology *topology = open_topology(two_nodes);
  struct braid_pin *pin = NULL;
  cr_assert_eq(braid_pin_plan(topology, "/nowhere/pin.yml", 0, &pin), BRAID_EINVAL);
  cr_assert(strstr(braid_error(), "/nowhere/pin.yml"));
  cr_assert_eq(braid_pin_plan(topology, NULL, -1, &pin), BRAID_EINVAL);
  braid_topology_close(&topology);
}

/* What the machine has not is named, and the rest of the config holds. */
Test(pin, a_config_that_does_not_fit_is_taken_with_a_warning) {
  static const struct {
    const char *text, *worker_sets, *io_sets, *warning;
  } cases[] = {
      {"workers:\n  - {bind: \"core:8\", memory: bind}\n", "-", "-",
       "workers 1: bind 'core:8': core:8 is not there: that place has 8 of them; instead its threads run on any"},
      {"workers:\n  - {bind: \"core:0\"}\n  - {bind: \"numa:1.core:2-4\"}\n", "0-1 12-13 14-15", "-",
       "workers 2: bind 'numa:1.core:2-4': core:4 is not there: that place has 4 of them; instead its threads get the "
       "2 "
       "places found"},
      {"workers:\n  - {count: 3, bind: \"numa:1-2.core:3\"}\n", "14-15 14-15 14-15", "-",
       "numa:2 is not there: that place has 2 of them; instead its threads get the 1 place found"},
      {"workers:\n  - {count: 2, bind: \"numa:2.core:0\"}\n  - {bind: \"pu:3\"}\n", "- - 3", "-",
       "workers 1: bind 'numa:2.core:0': numa:2 is not there"},
      {"workers:\n  - {bind: \"core:0\"}\nio: {bind: \"l3:0\"}\n", "0-1", "-",
       "io: bind 'l3:0': l3:0 is not there: that place has 0 of them"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct braid_pin *pin = NULL;
    cr_assert_eq(plan(two_nodes, cases[i].text, 0, &pin), BRAID_OK, "%s", braid_error());
    cr_assert_str_eq(sets(pin->worker, pin->n_workers), cases[i].worker_sets);
    cr_assert_str_eq(sets(pin->io, pin->n_io), cases[i].io_sets);
    for (int j = 0; j < pin->n_workers; j++) cr_assert_eq(pin->worker[j].numa, -1);
    cr_assert_eq(pin->n_warnings, 1);
    cr_assert(strstr(pin->warning[0], cases[i].warning), "'%s' is not in '%s'", cases[i].warning, pin->warning[0]);
    cr_assert(strstr(pin->warning[0], "pin.yml: "), "'%s' names no file", pin->warning[0]);
    braid_pin_destroy(&pin);
  }
}

static const char machine_xml[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE topology SYSTEM "
                                  "\"hwloc2.dtd\">\n<topology version=\"2.0\">\n"
                                  "<object type=\"Machine\" os_index=\"0\" cpuset=\"0x3\" complete_cpuset=\"0x3\" "
                                  "allowed_cpuset=\"0x3\" nodeset=\"0x1\" "
                                  "complete_nodeset=\"0x1\" allowed_nodeset=\"0x1\" gp_index=\"1\">\n"
                                  "<object type=\"NUMANode\" os_index=\"0\" cpuset=\"0x3\" complete_cpuset=\"0x3\" "
                                  "nodeset=\"0x1\" complete_nodeset=\"0x1\" gp_index=\"6\"/>\n"
                                  "<object type=\"Core\" os_index=\"0\" cpuset=\"0x1\" complete_cpuset=\"0x1\" "
                                  "nodeset=\"0x1\" complete_nodeset=\"0x1\" gp_index=\"3\">\n"
                                  "<object type=\"PU\" os_index=\"0\" cpuset=\"0x1\" complete_cpuset=\"0x1\" "
                                  "nodeset=\"0x1\" complete_nodeset=\"0x1\" gp_index=\"2\"/></object>\n"
                                  "<object type=\"Core\" os_index=\"1\" cpuset=\"0x2\" complete_cpuset=\"0x2\" "
                                  "nodeset=\"0x1\" complete_nodeset=\"0x1\" gp_index=\"5\">\n"
                                  "<object type=\"PU\" os_index=\"1\" cpuset=\"0x2\" complete_cpuset=\"0x2\" "
                                  "nodeset=\"0x1\" complete_nodeset=\"0x1\" gp_index=\"4\"/></object>\n"
                                  "</object>\n</topology>\n";

Test(pin, a_config_may_name_its_topology) {
  write_file("machine.xml", machine_xml);
  expect_sets("this", "topology: machine.xml\nworkers:\n  - {bind: \"core:all\"}\n", 2, "0 1",
              "-"); /* beside the config */
  expect_sets("this", "topology: \"synthetic: core:4 pu:2\"\nworkers:\n  - {bind: \"core:3\"}\n", 1, "6-7", "-");
  struct braid_pin *pin = NULL;
  cr_assert_eq(plan("this", "topology: \"synthetic: core:4 pu:1\"\nworkers:\n  - {bind: \"core:0\"}\n", 1, &pin),
               BRAID_OK);
  cr_assert_eq(pin->n_warnings, 1);
  cr_assert(strstr(pin->warning[0], "topology 'synthetic: core:4 pu:1' is not this machine; instead"), "%s",
            pin->warning[0]);
  braid_pin_destroy(&pin);
  expect_sets(two_nodes, "topology: this\nworkers:\n  - {bind: \"numa:1\"}\n", 1, "8-15", "-"); /* the caller's wins */
}

Test(pin, topologies_that_cannot_be_are_named) {
  static const char *const bad[] = {"synthetic: core:0",
                                    "synthetic: spoon:3",
                                    "synthetic: core:4000000 pu:4000000",
                                    "synthetic: core:99999999999999999999",
                                    "synthetic:",
                                    "/nowhere/machine.xml"};
  struct braid_topology *topology = NULL;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    cr_assert_eq(braid_topology_open(bad[i], &topology), BRAID_EINVAL, "taken: %s", bad[i]);
    cr_assert_gt(strlen(braid_error()), 20);
    cr_assert_null(topology);
  }
  cr_assert(strstr(braid_error(), "/nowhere/machine.xml"));
  char path[128];
  snprintf(path, sizeof path, "%s", write_file("machine.xml", "<topology version=\"2.0\"><object type=\"Spoon\"/>"));
  cr_assert_eq(braid_topology_open(path, &topology), BRAID_EINVAL);
  cr_assert(strstr(braid_error(), path), "%s", braid_error());
}

/* ------------------------------------------------------------------------------------------ this machine */

static void list_of(const cpu_set_t *set, char *text, size_t size) {
  size_t used = 0;
  for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, set)) used += (size_t)snprintf(text + used, size - used, "%s%zu", used ? "," : "", cpu);
}

static size_t first_cpu(const cpu_set_t *set) {
  size_t cpu = 0;
  while (!CPU_ISSET(cpu, set)) cpu++;
  return cpu;
}

Test(pin, a_thread_is_bound_where_its_plan_says) {
  struct braid_pin *pin = NULL;
  struct braid_topology *topology = open_topology(NULL);
  cr_assert_eq(braid_pin_plan(topology, NULL, 1, &pin), BRAID_OK, "%s", braid_error());
  cr_assert(pin->applies && pin->n_workers == 1 && pin->worker[0].cpuset);
  braid_pin_this_thread(&pin->worker[0]);
  cpu_set_t now;
  cr_assert_eq(sched_getaffinity(0, sizeof now, &now), 0);
  char want[1024];
  list_of(&now, want, sizeof want);
  if (CPU_COUNT(&now) == 1) cr_assert_str_eq(pin->worker[0].cpuset, want);
  struct braid_pin_thread again = {
      .name = "again", .cpuset = want, .numa = -1}; /* single numbers are list syntax, too */
  braid_pin_this_thread(&again);
  cpu_set_t still;
  cr_assert(sched_getaffinity(0, sizeof still, &still) == 0 && CPU_EQUAL(&now, &still));
  braid_pin_destroy(&pin);
  braid_topology_close(&topology);
}

/* As taskset would have done before the start: every thread (Criterion has some). */
static void bind_process(const cpu_set_t *set) {
  DIR *tasks = opendir("/proc/self/task");
  cr_assert_not_null(tasks);
  for (const struct dirent *task; (task = readdir(tasks));)
    if (task->d_name[0] != '.') cr_assert_eq(sched_setaffinity(atoi(task->d_name), sizeof *set, set), 0);
  closedir(tasks);
}

Test(pin, the_process_cpuset_is_respected) {
  cpu_set_t all, last;
  cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
  CPU_ZERO(&last);
  size_t cpu = first_cpu(&all);
  for (size_t i = 0; i < CPU_SETSIZE; i++)
    if (CPU_ISSET(i, &all)) cpu = i;
  CPU_SET(cpu, &last);
  bind_process(&last);
  struct braid_pin *pin = NULL;
  struct braid_topology *topology = open_topology("this");
  char want[24];
  snprintf(want, sizeof want, "%zu", cpu);
  cr_assert_eq(braid_pin_plan(topology, NULL, 0, &pin), BRAID_OK, "%s", braid_error());
  cr_assert_eq(pin->n_workers, 1);
  cr_assert_str_eq(pin->worker[0].cpuset, want);
  braid_pin_destroy(&pin);
  const char *config = write_file("pin.yml", "workers:\n  - {bind: \"pu:1\"}\n");
  cr_assert_eq(braid_pin_plan(topology, config, 0, &pin), BRAID_OK, "%s", braid_error());
  cr_assert(pin->n_workers == 1 && !pin->worker[0].cpuset && pin->n_warnings == 1);
  cr_assert(strstr(pin->warning[0], "pu:1 is not there: that place has 1 of them that this process may use"), "%s",
            pin->warning[0]);
  braid_pin_destroy(&pin);
  braid_topology_close(&topology);
}

/* Tried in a machine without that processor and node: one line of warning, and the thread lives on. */
Test(pin, failing_to_bind_is_survived) {
  struct braid_pin_thread nowhere = {.name = "worker0", .cpuset = (char *)(uintptr_t) "1023", .numa = -1};
  cpu_set_t before, after;
  cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
  if (CPU_ISSET(1023, &before)) return;
  braid_pin_this_thread(&nowhere);
  nowhere.cpuset = NULL;
  nowhere.numa = 1023;
  braid_pin_this_thread(&nowhere);
  nowhere.numa = 5000;
  braid_pin_this_thread(&nowhere);
  cr_assert_eq(sched_getaffinity(0, sizeof after, &after), 0);
  cr_assert(CPU_EQUAL(&before, &after));
}

Test(pin, no_allocation_may_fail_badly) {
  static const char text[] =
      "workers:\n  - {count: 3, bind: \"numa:0.core:0-2\", memory: bind}\nio: {bind: \"core:3\"}\n";
  long n = plan_with_failing_allocations(two_nodes, write_file("pin.yml", text));
  cr_assert_gt(n, 10);
}
