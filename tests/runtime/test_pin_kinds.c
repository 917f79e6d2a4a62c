/* SPDX-License-Identifier: Apache-2.0
 * Pinning on hybrid machines. hwloc's synthetic descriptions know no kinds of processors, so these tests give kinds to
 * one and hand it to the pinning as the XML file that a real hybrid machine would write. */
#include "braid/runtime.h"
#include "pin_help.h"

#include <criterion/criterion.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kind {
  const char *cpus;
  int efficiency;
};

/* As on phones: the small cores come first. */
static const char four_cores[] = "core:4 pu:2", six_processors[] = "core:6 pu:1";
static const struct kind small_first[] = {{"0-3", 0}, {"4-7", 1}, {0}};
static const struct kind three_kinds[] = {{"0-1", 0}, {"2-4", 1}, {"5", 2}, {0}};
static const struct kind not_ranked[] = {{"0-3", -1}, {"4-7", -1}, {0}};
static const struct kind uniform[] = {{0}};

static char dir[64], machine[96], config[96];

static void make_dir(void) {
  snprintf(dir, sizeof dir, "/tmp/braid_kinds_XXXXXX");
  cr_assert_not_null(mkdtemp(dir));
  snprintf(machine, sizeof machine, "%s/machine.xml", dir);
  snprintf(config, sizeof config, "%s/pin.yml", dir);
}

static void remove_dir(void) {
  unlink(machine);
  unlink(config);
  rmdir(dir);
}

TestSuite(pin_kinds, .init = make_dir, .fini = remove_dir);

static void make_machine(const char *synthetic, const struct kind *kinds) {
  hwloc_topology_t hw;
  cr_assert(hwloc_topology_init(&hw) == 0 && hwloc_topology_set_synthetic(hw, synthetic) == 0);
  cr_assert_eq(hwloc_topology_load(hw), 0);
  for (; kinds->cpus; kinds++) {
    hwloc_bitmap_t cpus = hwloc_bitmap_alloc();
    cr_assert(cpus && hwloc_bitmap_list_sscanf(cpus, kinds->cpus) == 0);
    cr_assert_eq(hwloc_cpukinds_register(hw, cpus, kinds->efficiency, 0, NULL, 0), 0);
    hwloc_bitmap_free(cpus);
  }
  cr_assert_eq(hwloc_topology_export_xml(hw, machine, 0), 0);
  hwloc_topology_destroy(hw);
}

/* lanes NULL: no config */
static struct braid_pin *plan(const char *lanes, int workers) {
  if (lanes) {
    FILE *file = fopen(config, "w");
    cr_assert(file && fputs(lanes, file) >= 0 && fclose(file) == 0);
  }
  struct braid_topology *topology = NULL;
  struct braid_pin *pin = NULL;
  cr_assert_eq(braid_topology_open(machine, &topology), BRAID_OK, "%s", braid_error());
  cr_assert_eq(braid_pin_plan(topology, lanes ? config : NULL, workers, &pin), BRAID_OK, "%s", braid_error());
  braid_topology_close(&topology);
  return pin;
}

static void add_text(char *text, size_t size, const char *more) {
  size_t used = strlen(text);
  snprintf(text + used, size - used, "%s%s", used ? " " : "", more ? more : "-");
}

static void expect_threads(const struct braid_pin *pin, const char *cpus, const char *kinds) {
  char got_cpus[512] = "", got_kinds[512] = "";
  for (int i = 0; i < pin->n_workers; i++) {
    add_text(got_cpus, sizeof got_cpus, pin->worker[i].cpuset);
    add_text(got_kinds, sizeof got_kinds, pin->worker[i].kind);
  }
  for (int i = 0; i < pin->n_io; i++) {
    add_text(got_cpus, sizeof got_cpus, pin->io[i].cpuset);
    add_text(got_kinds, sizeof got_kinds, pin->io[i].kind);
  }
  cr_assert_str_eq(got_cpus, cpus);
  cr_assert_str_eq(got_kinds, kinds);
}

static void expect_plan(const char *lanes, int workers, const char *cpus, const char *kinds) {
  struct braid_pin *pin = plan(lanes, workers);
  expect_threads(pin, cpus, kinds);
  cr_assert_eq(pin->n_warnings, 0, "%s", pin->n_warnings ? pin->warning[0] : "");
  braid_pin_destroy(&pin);
}

Test(pin_kinds, by_default_the_fast_cores_come_first) {
  make_machine(four_cores, small_first);
  expect_plan(NULL, 0, "4-5 6-7 0-1 2-3 -", "performance performance efficiency efficiency -");
  expect_plan(NULL, 1, "4-5 6-7", "performance performance");
  expect_plan(NULL, 3, "4-5 6-7 0-1 2-3", "performance performance efficiency efficiency");
  expect_plan("workers:\n  - {count: 3, bind: \"core:all\"}\nio: {bind: \"pu:all\"}\n", 0, "4-5 6-7 0-1 4",
              "performance performance efficiency performance");
  make_machine(six_processors, three_kinds);
  expect_plan(NULL, 6, "5 2 3 4 0 1 -", "performance efficiency efficiency efficiency efficiency efficiency -");
}

Test(pin_kinds, a_lane_has_the_kind_that_it_asks_for) {
  make_machine(four_cores, small_first);
  expect_plan("workers:\n  - {bind: \"core:all\", kind: performance}\nio: {bind: \"core:all\", kind: efficiency}\n", 2,
              "4-5 6-7 0-1", "performance performance efficiency");
  expect_plan("workers:\n  - {bind: \"core:all\", kind: efficiency}\n", 2, "0-1 2-3 -", "efficiency efficiency -");
  expect_plan("workers:\n  - {bind: \"core:all\", kind: any}\n", 4, "0-1 2-3 4-5 6-7 -",
              "efficiency efficiency performance performance -");
  expect_plan("workers:\n  - {count: 3, bind: \"core:all\", kind: performance}\n", 3, "4-5 6-7 4-5 -",
              "performance performance performance -");
  make_machine(six_processors, three_kinds);
  expect_plan("workers:\n  - {bind: \"pu:all\", kind: performance}\n  - {bind: \"pu:all\", kind: efficiency}\n", 6,
              "5 2 3 4 0 1 -", "performance efficiency efficiency efficiency efficiency efficiency -");
}

Test(pin_kinds, a_place_of_several_kinds_is_cut_down_to_the_one_asked_for) {
  make_machine(four_cores, small_first);
  expect_plan("workers:\n  - {bind: \"machine:0\"}\n", 1, "0-7 -", "mixed -");
  expect_plan("workers:\n  - {bind: \"machine:0\", kind: performance}\n", 1, "4-7 -", "performance -");
  expect_plan("workers:\n  - {bind: \"machine:0\", kind: efficiency}\n", 1, "0-3 -", "efficiency -");
}

Test(pin_kinds, the_kinds_of_the_machine_are_told) {
  make_machine(six_processors, three_kinds);
  struct braid_pin *pin = plan(NULL, 0);
  static const struct braid_pin_kind want[] = {{"performance", (char *)(uintptr_t) "5"},
                                               {"efficiency", (char *)(uintptr_t) "2-4"},
                                               {"efficiency", (char *)(uintptr_t) "0-1"}};
  cr_assert_eq(pin->n_kinds, 3);
  for (int i = 0; i < 3; i++) {
    cr_assert_str_eq(pin->kind[i].name, want[i].name);
    cr_assert_str_eq(pin->kind[i].cpuset, want[i].cpuset);
  }
  braid_pin_destroy(&pin);
}

/* Kinds that nobody ranks say nothing about which is faster. */
Test(pin_kinds, without_a_ranking_all_are_alike) {
  static const struct kind *const machines[] = {uniform, not_ranked};
  for (size_t i = 0; i < 2; i++) {
    make_machine(four_cores, machines[i]);
    expect_plan(NULL, 2, "0-1 2-3 4-5", "- - -");
    expect_plan("workers:\n  - {bind: \"core:all\", kind: performance}\n", 4, "0-1 2-3 4-5 6-7 -", "- - - - -");
    struct braid_pin *pin = plan(NULL, 0);
    cr_assert(pin->n_kinds == 0 && pin->kind == NULL);
    braid_pin_destroy(&pin);
  }
}

static void expect_warning(const char *lanes, const char *cpus, const char *kinds, const char *warning) {
  struct braid_pin *pin = plan(lanes, 0);
  expect_threads(pin, cpus, kinds);
  cr_assert_eq(pin->n_warnings, 1);
  cr_assert(strstr(pin->warning[0], warning), "'%s' is not in '%s'", warning, pin->warning[0]);
  cr_assert(strstr(pin->warning[0], config), "'%s' names no file", pin->warning[0]);
  braid_pin_destroy(&pin);
}

Test(pin_kinds, a_kind_that_is_not_there_is_warned_of) {
  make_machine(four_cores, small_first);
  expect_warning("workers:\n  - {bind: \"core:all\"}\n  - {bind: \"core:0-1\", kind: performance}\n",
                 "4-5 6-7 0-1 2-3 0-1 2-3 -", "performance performance efficiency efficiency efficiency efficiency -",
                 "workers 2: kind 'performance': its places have no processor of that kind; instead its threads get "
                 "processors of any kind");
  expect_warning("workers:\n  - {bind: \"core:3\"}\nio: {bind: \"core:2-\", kind: efficiency}\n", "6-7 4-5",
                 "performance performance", "io: kind 'efficiency': its places have no");
  make_machine(four_cores, uniform);
  expect_warning("workers:\n  - {bind: \"core:1-2\", kind: efficiency}\n", "2-3 4-5 -", "- - -",
                 "workers 1: kind 'efficiency': this machine's processors are all of one kind");
}

Test(pin_kinds, no_allocation_may_fail_badly) {
  static const char lanes[] = "workers:\n  - {bind: \"core:all\"}\n  - {bind: \"core:0-9\", kind: efficiency}\n"
                              "  - {bind: \"core:0\", kind: performance}\nio: {bind: \"core:9\"}\n";
  make_machine(four_cores, small_first);
  struct braid_pin *pin = plan(lanes, 0); /* writes the config */
  cr_assert(pin->n_warnings == 3 && pin->n_kinds == 2);
  braid_pin_destroy(&pin);
  long n = plan_with_failing_allocations(machine, config);
  cr_assert_gt(n, 20);
}
