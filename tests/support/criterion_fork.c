/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the tests of a Criterion program where Criterion cannot: its own runner starts a test's process under ptrace,
 * which qemu's user mode does not have. Here a test is a forked child. Assertions, their texts and the tests' tables are
 * Criterion's; what this file defines takes the place of its main, its runner and what tells that of a failure.
 * PROGRAM [PATTERN]: those whose "suite/test" the pattern of a shell fits. Time limits are ctest's business. */
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 1, SKIPPED = 77 };

/* The sections of the tables; there may be no table of suites. */
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak)), *__stop_cr_sts[] __attribute__((weak));

/* Of the child. */
static const struct criterion_test *running;
static void *parameter;
static bool failed;

/* ---------------------------------------------------------------------------------------- what tests call */

void criterion_send_assert(struct criterion_assert_stats *stats) {
  if (!stats->passed) fprintf(stderr, "%s:%u: assertion failed: %s\n", stats->file, stats->line, stats->message);
}

static _Noreturn void leave(int code) {
  fflush(NULL);
  _exit(code);
}

void criterion_abort_test(void) { leave(FAILED); }
void criterion_continue_test(void) { failed = true; }
void cri_asserts_passed_incr(void) {}

void criterion_skip_test(const char *format, ...) {
  va_list list;
  va_start(list, format);
  vfprintf(stderr, format, list);
  va_end(list);
  fputc('\n', stderr);
  leave(SKIPPED);
}

void cr_log(enum criterion_severity severity, const char *msg, ...) {
  (void)severity;
  va_list list;
  va_start(list, msg);
  vfprintf(stderr, msg, list);
  va_end(list);
  fputc('\n', stderr);
}

/* What comes before and after: of the suite outside, of the test inside. */
static const struct criterion_test_extra_data *suite_of(const struct criterion_test *test) {
  for (struct criterion_suite **s = __start_cr_sts; s < __stop_cr_sts; s++)
    if (*s && strcmp((*s)->name, test->category) == 0) return (*s)->data;
  return NULL;
}

void criterion_internal_test_setup(void) {
  const struct criterion_test_extra_data *suite = suite_of(running);
  if (suite && suite->init) suite->init();
  if (running->data->init) running->data->init();
}

void criterion_internal_test_main(void (*fn)(void)) {
  if (running->data->kind_ == CR_TEST_PARAMETERIZED)
    ((void (*)(void *))fn)(parameter);
  else
    fn();
}

void criterion_internal_test_teardown(void) {
  const struct criterion_test_extra_data *suite = suite_of(running);
  if (running->data->fini) running->data->fini();
  if (suite && suite->fini) suite->fini();
}

/* -------------------------------------------------------------------------------------------------- runner */

static struct {
  int passed, failed, crashed, skipped;
} count;

static void run(const struct criterion_test *test, void *param, const char *name) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    running = test;
    parameter = param;
    test->test();
    leave(failed ? FAILED : 0);
  }
  int status = 0;
  pid_t ended;
  do ended = pid < 0 ? -1 : waitpid(pid, &status, 0);
  while (ended < 0 && pid > 0 && errno == EINTR);
  if (ended < 0) {
    perror("criterion_fork");
    exit(2);
  }
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1, signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (code == SKIPPED) {
    count.skipped++;
  } else if (signal != test->data->signal || (signal == 0 && code != test->data->exit_code)) {
    code == FAILED ? count.failed++ : count.crashed++;
    fprintf(stderr, "[%s] %s%s%s\n", code == FAILED ? "FAIL" : "CRASH", name, signal ? ": " : "",
            signal ? strsignal(signal) : "");
  } else {
    count.passed++;
  }
}

int main(int argc, char **argv) {
  for (struct criterion_test **t = __start_cr_tst; t < __stop_cr_tst; t++) {
    const struct criterion_test *test = *t;
    char name[256];
    if (!test || test->data->disabled) continue;
    snprintf(name, sizeof name, "%s/%s", test->category, test->name);
    if (argc > 1 && fnmatch(argv[1], name, 0) != 0) continue;
    if (test->data->kind_ == CR_TEST_NORMAL) {
      run(test, NULL, name);
      continue;
    }
    struct criterion_test_params params = test->data->param_();
    for (size_t i = 0; i < params.length; i++) run(test, (char *)params.params + i * params.size, name);
    if (params.cleanup) params.cleanup(&params);
  }
  int tested = count.passed + count.failed + count.crashed;
  fprintf(stderr, "[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: %d\n", tested, count.passed,
          count.failed, count.crashed);
  return tested + count.skipped == 0 || count.failed + count.crashed > 0;
}
