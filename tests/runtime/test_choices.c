/* SPDX-License-Identifier: Apache-2.0
 * Kernels by measurement: a choice is taken where it fits and nowhere else, its file survives nothing but itself, and a
 * search finds kernels whose network answers as before. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec/bind.h"
#include "exec/choices.h"
#include "exec_help.h"
#include "graph_help.h"

/* A 3x3 convolution of 20 channels, and a 1x1 one: what Winograd can compute, and what it cannot. */
static struct braid_graph *small_net(void) {
  struct braid_graph *graph = new_graph("small");
  int x = input(graph, "x", shape4(1, 20, 14, 14));
  must(braid_graph_add_output(graph, conv(graph, conv(graph, x, 20, 3, "three"), 24, 1, "one")));
  seal_with(graph, BRAID_PASS_ALL);
  return graph;
}

static void key_of(const struct braid_graph *graph, const char *node, int slices, char key[EXEC_CHOICE_CHARS]) {
  struct braid_kernel_args args;
  must(exec_bind_node(graph, braid_graph_find(graph, node), &args));
  cr_assert(exec_choice_key(&args, slices, key));
}

static const struct braid_kernel *kernel_named(const char *part) {
  int n;
  const struct braid_kernel *const *table = braid_kernels(&n);
  for (int i = 0; i < n; i++)
    if (table[i]->op == BRAID_OP_CONV && (table[i]->needs & ~braid_cpu_flags()) == 0 && strstr(table[i]->name, part))
      return table[i];
  return NULL;
}

static struct braid_choices *no_choices(void) {
  struct braid_choices *choices;
  must(braid_choices_create(braid_cpu_flags(), &choices));
  return choices;
}

static void choose(struct braid_choices *choices, const struct braid_graph *graph, const char *node, int slices,
                   const struct braid_kernel *kernel) {
  char key[EXEC_CHOICE_CHARS];
  key_of(graph, node, slices, key);
  must(exec_choices_set(choices, key, kernel));
}

/* The kernel that a program takes for a node, and what it answers. */
static const char *taken(const struct braid_graph *graph, const struct braid_choices *choices, uint32_t cpu_flags,
                         const char *node, struct io *io) {
  struct braid_pool_opts opts = {.workers = 1, .choices = choices};
  struct braid_pool *pool;
  must(braid_pool_create(&opts, &pool));
  struct braid_program *program = make_program(pool, graph, NULL, BRAID_EDGE, 1, cpu_flags);
  const char *name = braid_program_kernel_name(program, braid_graph_find(graph, node));
  if (io) must(braid_program_run(program, io->in, io->n_in, io->out, io->n_out));
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  return name;
}

Test(choices, are_taken_where_they_fit) {
  struct braid_graph *graph = small_net();
  struct braid_choices *choices = no_choices();
  const struct braid_kernel *winograd = kernel_named("winograd6");
  if (!winograd) cr_skip_test("this CPU has no second kernel");
  uint32_t flags = braid_cpu_flags();
  struct io want, got;
  io_make(graph, 1, &want);
  io_make(graph, 1, &got);
  const char *rule = taken(graph, NULL, flags, "three", &want), *other = taken(graph, NULL, flags, "one", NULL);
  cr_assert_str_neq(rule, winograd->name);
  cr_assert_eq(braid_choices_count(choices), 0);
  cr_assert_str_eq(taken(graph, choices, flags, "three", NULL), rule);
  choose(choices, graph, "three", 1, winograd);
  cr_assert_eq(braid_choices_count(choices), 1);
  cr_assert_str_eq(taken(graph, choices, flags, "three", &got), winograd->name);
  cr_assert_leq(io_distance(&want, &got), 1e-4);
  cr_assert_str_eq(taken(graph, choices, flags, "one", NULL), other, "nobody chose for that one");
  cr_assert_str_eq(taken(graph, choices, 0, "three", NULL), taken(graph, NULL, 0, "three", NULL), "ref is ref");
  uint32_t fewer = flags & ~winograd->needs;
  cr_assert_str_eq(taken(graph, choices, fewer, "three", NULL), taken(graph, NULL, fewer, "three", NULL));
  choose(choices, graph, "three", 1, NULL);
  cr_assert_str_eq(taken(graph, choices, flags, "three", NULL), rule, "taken back");
  io_free(&want);
  io_free(&got);
  braid_choices_destroy(&choices);
  braid_graph_destroy(&graph);
}

Test(choices, that_do_not_fit_leave_it_to_the_rules) {
  struct braid_graph *graph = small_net();
  struct braid_choices *choices = no_choices();
  const struct braid_kernel *winograd = kernel_named("winograd6");
  if (!winograd) cr_skip_test("this CPU has no second kernel");
  const char *rule = taken(graph, NULL, braid_cpu_flags(), "one", NULL);
  choose(choices, graph, "one", 1, winograd); /* a 1x1 convolution */
  cr_assert_str_eq(taken(graph, choices, braid_cpu_flags(), "one", NULL), rule);
  struct braid_kernel gone = *winograd;
  gone.name = "conv2d_f32__of_another_time";
  choose(choices, graph, "one", 1, &gone);
  cr_assert_str_eq(taken(graph, choices, braid_cpu_flags(), "one", NULL), rule);
  braid_choices_destroy(&choices);
  braid_graph_destroy(&graph);
}

/* A choice for whole nodes says nothing of slices, and one for slices nothing of whole nodes. */
Test(choices, are_for_as_many_slices) {
  struct braid_graph *graph = small_net();
  struct braid_choices *choices = no_choices();
  const struct braid_kernel *winograd = kernel_named("winograd6");
  if (!winograd) cr_skip_test("this CPU has no second kernel");
  struct braid_kernel_args args;
  must(exec_bind_node(graph, braid_graph_find(graph, "three"), &args));
  choose(choices, graph, "three", 3, winograd);
  cr_assert_eq(exec_choices_find(choices, &args, braid_cpu_flags(), 3), winograd);
  cr_assert_null(exec_choices_find(choices, &args, braid_cpu_flags(), 1));
  cr_assert_null(exec_choices_find(choices, &args, braid_cpu_flags(), 2));
  braid_choices_destroy(&choices);
  braid_graph_destroy(&graph);
}

/* ----------------------------------------------------------------------------------------------------- file */

struct place {
  char dir[64], path[128];
};

static struct place new_place(void) {
  struct place p;
  snprintf(p.dir, sizeof p.dir, "/tmp/braid-choices-XXXXXX");
  cr_assert(mkdtemp(p.dir));
  snprintf(p.path, sizeof p.path, "%s/a/b/kernels.json", p.dir);
  return p;
}

static void free_place(struct place *p) {
  char path[160];
  unlink(p->path);
  const char *const below[] = {"/a/b", "/a", ""};
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s%s", p->dir, below[i]);
    cr_assert_eq(rmdir(path), 0, "%s is not empty", path); /* no half-written file is left */
  }
}

static json_t *load(const struct place *p) {
  json_t *root = json_load_file(p->path, 0, NULL);
  cr_assert(root);
  return root;
}

static void expect(const struct place *p, uint32_t flags, enum braid_status want, const char *what) {
  struct braid_choices *choices = NULL;
  enum braid_status got = braid_choices_read(p->path, flags, &choices);
  cr_assert_eq(got, want, "%s: %d (%s)", what, got, got == BRAID_OK ? "" : braid_error());
  cr_assert_eq(choices != NULL, want == BRAID_OK);
  if (want != BRAID_OK) cr_assert(strstr(braid_error(), p->path), "'%s' does not name the file", braid_error());
  braid_choices_destroy(&choices);
}

static void replace(const struct place *p, json_t *root, const char *key, json_t *value) {
  cr_assert_eq(json_object_set_new(root, key, value), 0);
  cr_assert_eq(json_dump_file(root, p->path, 0), 0);
  json_decref(root);
}

Test(choices, come_back_from_their_file) {
  struct braid_graph *graph = small_net();
  struct braid_choices *choices = no_choices(), *again;
  struct place p = new_place();
  const struct braid_kernel *first = kernel_named("im2col_blas");
  cr_assert(first);
  expect(&p, braid_cpu_flags(), BRAID_ENOTFOUND, "no file");
  choose(choices, graph, "three", 1, first);
  must(braid_choices_write(choices, p.path));
  choose(choices, graph, "one", 1, first);
  must(braid_choices_write(choices, p.path)); /* over the one that is there */
  must(braid_choices_read(p.path, braid_cpu_flags(), &again));
  cr_assert_eq(braid_choices_count(again), 2);
  cr_assert_str_eq(taken(graph, again, braid_cpu_flags(), "three", NULL), first->name);
  cr_assert_str_eq(taken(graph, again, braid_cpu_flags(), "one", NULL), first->name);
  braid_choices_destroy(&again);
  braid_choices_destroy(&choices);
  braid_graph_destroy(&graph);
  free_place(&p);
}

Test(choices, of_a_damaged_or_foreign_file_are_refused) {
  struct braid_choices *choices = no_choices();
  struct place p = new_place();
  uint32_t flags = braid_cpu_flags();
  must(braid_choices_write(choices, p.path));
  expect(&p, flags, BRAID_OK, "as written");
  expect(&p, 0, BRAID_EMISMATCH, "of other flags");
  replace(&p, load(&p), "cpu", json_string("Another CPU"));
  expect(&p, flags, BRAID_EMISMATCH, "of another CPU");
  must(braid_choices_write(choices, p.path));
  replace(&p, load(&p), "braid", json_string("0.0.0"));
  expect(&p, flags, BRAID_EMISMATCH, "of another version");
  must(braid_choices_write(choices, p.path));
  replace(&p, load(&p), "kernels", json_string("0123456789abcdef"));
  expect(&p, flags, BRAID_EMISMATCH, "of other kernels");
  must(braid_choices_write(choices, p.path));
  replace(&p, load(&p), "format", json_string("braid plan 1"));
  expect(&p, flags, BRAID_EFORMAT, "another file");
  must(braid_choices_write(choices, p.path));
  replace(&p, load(&p), "choices", json_array());
  expect(&p, flags, BRAID_EFORMAT, "choices that are none");
  must(braid_choices_write(choices, p.path));
  replace(&p, load(&p), "choices", json_pack("{s:i}", "Conv", 1));
  expect(&p, flags, BRAID_EFORMAT, "a kernel that is no name");
  must(braid_choices_write(choices, p.path));
  struct stat st;
  cr_assert_eq(stat(p.path, &st), 0);
  for (off_t n = 0; n < st.st_size - 2; n += 7) {
    must(braid_choices_write(choices, p.path));
    cr_assert_eq(truncate(p.path, n), 0);
    expect(&p, flags, BRAID_EFORMAT, "cut short");
  }
  braid_choices_destroy(&choices);
  free_place(&p);
}

/* --------------------------------------------------------------------------------------------------- search */

struct watch {
  int calls, last, total, stop_at;
};

static bool on_progress(void *ctx, int done, int total) {
  struct watch *w = ctx;
  cr_assert(done >= w->last && done <= total);
  w->last = done;
  w->total = total;
  return ++w->calls != w->stop_at;
}

static void check_search(int workers) {
  if (!kernel_named("winograd6")) cr_skip_test("this CPU has no second kernel");
  struct braid_graph *graph = small_net();
  struct braid_choices *choices = no_choices();
  struct watch watch = {0};
  struct braid_tune_opts opts = {
      .workers = workers, .cpu_flags = braid_cpu_flags(), .passes = 2, .progress = on_progress, .ctx = &watch};
  struct braid_tuning *tuning;
  must(braid_tune(graph, &opts, choices, &tuning));
  cr_assert_eq(tuning->n, 2);
  cr_assert(watch.calls > 0 && watch.last == watch.total);
  int changed = 0;
  for (int i = 0; i < tuning->n; i++) {
    const struct braid_tuned_layer *l = &tuning->layer[i];
    cr_assert_eq(l->nodes, 1);
    cr_assert_geq(l->tried, 2, "%s: %d kernels", l->key, l->tried);
    cr_assert(l->rule_ns > 0 && l->chosen_ns > 0 && l->chosen_ns <= l->rule_ns);
    changed += strcmp(l->rule, l->chosen) != 0;
    const char *kept = json_string_value(json_object_get(choices->kernel, l->key));
    cr_assert(strcmp(l->rule, l->chosen) == 0 ? !kept : kept && strcmp(kept, l->chosen) == 0);
  }
  cr_assert_eq(braid_choices_count(choices), changed);
  cr_assert(tuning->rule_ns > 0 && tuning->chosen_ns > 0);
  struct io want, got;
  io_make(graph, 3, &want);
  io_make(graph, 3, &got);
  run_reference(graph, &want);
  taken(graph, choices, braid_cpu_flags(), "three", &got);
  cr_assert_leq(io_distance(&want, &got), 1e-4);
  io_free(&want);
  io_free(&got);
  braid_tuning_destroy(&tuning);
  braid_choices_destroy(&choices);
  braid_graph_destroy(&graph);
}

Test(choices, are_found_by_a_search) { check_search(1); }
Test(choices, are_found_for_several_workers) { check_search(2); }

/* What was written down before goes by what is measured now. */
Test(choices, are_measured_anew) {
  struct braid_graph *graph = small_net();
  struct braid_choices *choices = no_choices();
  const struct braid_kernel *winograd = kernel_named("winograd6");
  if (!winograd) cr_skip_test("this CPU has no second kernel");
  choose(choices, graph, "one", 1, winograd); /* which cannot compute it, so no search finds it again */
  struct braid_tune_opts opts = {.workers = 1, .cpu_flags = braid_cpu_flags(), .passes = 1};
  struct braid_tuning *tuning;
  char key[EXEC_CHOICE_CHARS];
  must(braid_tune(graph, &opts, choices, &tuning));
  key_of(graph, "one", 1, key);
  const char *kept = json_string_value(json_object_get(choices->kernel, key));
  cr_assert(!kept || strcmp(kept, winograd->name) != 0);
  braid_tuning_destroy(&tuning);
  braid_choices_destroy(&choices);
  braid_graph_destroy(&graph);
}

Test(choices, search_stops_when_told) {
  if (!kernel_named("winograd6")) cr_skip_test("this CPU has no second kernel");
  struct braid_graph *graph = small_net();
  for (int stop_at = 1; stop_at < 6; stop_at++) {
    struct braid_choices *choices = no_choices();
    struct watch watch = {.stop_at = stop_at};
    struct braid_tune_opts opts = {
        .workers = 1, .cpu_flags = braid_cpu_flags(), .passes = 1, .progress = on_progress, .ctx = &watch};
    struct braid_tuning *tuning = NULL;
    cr_assert_eq(braid_tune(graph, &opts, choices, &tuning), BRAID_ECLOSED);
    cr_assert_eq(watch.calls, stop_at);
    cr_assert_null(tuning);
    braid_choices_destroy(&choices);
  }
  braid_graph_destroy(&graph);
}
