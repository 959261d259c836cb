// Runs a command whose disk fails: `inject DIR PLAN COMMAND…`.
//
// The library makes its system calls itself (rustix), so that LD_PRELOAD sees none of them. Here the kernel asks a
// supervisor about each call that could change something below DIR (seccomp user notification, Linux 5.5). io_uring
// would pass by: the command finds no io_uring.
//
// PLAN is a file of six u32, shared with whoever wrote it, who may change it while the command runs:
//   at      which call fails, counted from 1; 0: none
//   errno   with what
//   mode    0 that call only; 1 that call and all later ones; 2 writes from that call on move half of their bytes;
//           3 calls from that one on take `errno` ms longer
//   kinds   bits of enum kind that count and fail
//   count   calls below DIR so far (of those kinds)
//   hits    calls that failed, were short or slow so far
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum kind { WRITE = 1, SYNC = 2, RENAME = 4, ROOM = 8, COPY = 16, OPEN = 32, MAKE = 64, REMOVE = 128, ATTRIBUTES = 256 };

// Where a call says what it is about: a descriptor, or a directory's descriptor and a path.
enum about { DESCRIPTOR, PATH, PATH_ONLY, TARGET };

struct call {
  int number;
  enum kind kind;
  enum about about;
  int argument;  // of the descriptor, or of the path when there is no directory
};

static const struct call CALLS[] = {
    {SYS_write, WRITE, DESCRIPTOR, 0},       {SYS_pwrite64, WRITE, DESCRIPTOR, 0},
    {SYS_writev, WRITE, DESCRIPTOR, 0},      {SYS_pwritev, WRITE, DESCRIPTOR, 0},
    {SYS_pwritev2, WRITE, DESCRIPTOR, 0},    {SYS_fsync, SYNC, DESCRIPTOR, 0},
    {SYS_fdatasync, SYNC, DESCRIPTOR, 0},    {SYS_syncfs, SYNC, DESCRIPTOR, 0},
    {SYS_renameat2, RENAME, PATH, 0},        {SYS_fallocate, ROOM, DESCRIPTOR, 0},
    {SYS_ftruncate, ROOM, DESCRIPTOR, 0},    {SYS_copy_file_range, COPY, DESCRIPTOR, 2},
    {SYS_openat, OPEN, PATH, 0},             {SYS_openat2, OPEN, PATH, 0},
    {SYS_mkdirat, MAKE, PATH, 0},            {SYS_symlinkat, MAKE, TARGET, 1},
    {SYS_linkat, MAKE, PATH, 0},             {SYS_unlinkat, REMOVE, PATH, 0},
    {SYS_fchmod, ATTRIBUTES, DESCRIPTOR, 0}, {SYS_fchmodat, ATTRIBUTES, PATH, 0},
    {SYS_utimensat, ATTRIBUTES, PATH, 0},    {SYS_splice, COPY, DESCRIPTOR, 2},
    {SYS_sendfile, COPY, DESCRIPTOR, 0},     {SYS_mknodat, MAKE, PATH, 0},
    {SYS_fchown, ATTRIBUTES, DESCRIPTOR, 0}, {SYS_fchownat, ATTRIBUTES, PATH, 0},
    {SYS_fsetxattr, ATTRIBUTES, DESCRIPTOR, 0},
#ifdef SYS_fchmodat2
    {SYS_fchmodat2, ATTRIBUTES, PATH, 0},
#endif
#ifdef SYS_rename
    {SYS_rename, RENAME, PATH_ONLY, 0},      {SYS_open, OPEN, PATH_ONLY, 0},
    {SYS_mkdir, MAKE, PATH_ONLY, 0},         {SYS_unlink, REMOVE, PATH_ONLY, 0},
    {SYS_renameat, RENAME, PATH, 0},         {SYS_chmod, ATTRIBUTES, PATH_ONLY, 0},
#endif
};
#define COUNT ((int)(sizeof CALLS / sizeof *CALLS))

struct plan {
  uint32_t at, error, mode, kinds, count, hits;
};

static const char *below;
static volatile struct plan *plan;

static void die(const char *what) {
  fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
  _exit(125);
}

static int filter(void) {
  struct sock_filter code[COUNT * 2 + 4];
  int length = 0;
  code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1);
  code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
  for (int i = 0; i < COUNT; i++) {
    code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[i].number, 0, 1);
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
  }
  code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {(unsigned short)length, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("no_new_privs");
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static void pass_descriptor(int socket, int descriptor) {
  char byte = 0, space[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  if (sendmsg(socket, &message, 0) < 0) die("sendmsg");
}

static int take_descriptor(int socket) {
  char byte, space[CMSG_SPACE(sizeof(int))];
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0) return -1;
  int descriptor;
  memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
  return descriptor;
}

static ssize_t peek(pid_t pid, uint64_t address, void *space, size_t length) {
  char name[64];
  snprintf(name, sizeof name, "/proc/%d/mem", pid);
  int memory = open(name, O_RDONLY | O_CLOEXEC);
  if (memory < 0) return -1;
  ssize_t got = pread(memory, space, length, (off_t)address);
  close(memory);
  return got;
}

static int link_of(pid_t pid, int descriptor, char *path, size_t room) {
  char name[64];
  if (descriptor == AT_FDCWD) snprintf(name, sizeof name, "/proc/%d/cwd", pid);
  else snprintf(name, sizeof name, "/proc/%d/fd/%d", pid, descriptor);
  ssize_t length = readlink(name, path, room - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return 1;
}

static int is_below(const char *path) {
  size_t length = strlen(below);
  return strncmp(path, below, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int concerns_us(const struct call *call, const struct seccomp_notif *asked) {
  char path[4096];
  const uint64_t *arguments = (const uint64_t *)asked->data.args;
  if (call->about == DESCRIPTOR)
    return link_of((pid_t)asked->pid, (int)arguments[call->argument], path, sizeof path) && is_below(path);
  uint64_t address = arguments[call->about == PATH_ONLY ? call->argument : call->argument + 1];
  char first = 0;
  // utimensat without a path is about its descriptor.
  if (address != 0 && peek((pid_t)asked->pid, address, &first, 1) < 1) return 0;
  if (first == '/') {
    memset(path, 0, sizeof path);
    if (peek((pid_t)asked->pid, address, path, sizeof path - 1) < 1) return 0;
    return is_below(path);
  }
  int directory = call->about == PATH_ONLY ? AT_FDCWD : (int)arguments[call->argument];
  return link_of((pid_t)asked->pid, directory, path, sizeof path) && is_below(path);
}

// Writes half of what the command wants to write, for it; -1 when that cannot be told apart from all of it.
static int64_t write_half(const struct seccomp_notif *asked) {
  const uint64_t *arguments = (const uint64_t *)asked->data.args;
  if (asked->data.nr != SYS_pwrite64 && asked->data.nr != SYS_write) return -1;
  size_t half = (size_t)arguments[2] / 2;
  if (half == 0) return -1;
  char *bytes = malloc(half);
  int process = (int)syscall(SYS_pidfd_open, asked->pid, 0);
  int file = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, (int)arguments[0], 0);
  int64_t written = -1;
  if (bytes && file >= 0 && peek((pid_t)asked->pid, arguments[1], bytes, half) == (ssize_t)half) {
    written = asked->data.nr == SYS_write ? write(file, bytes, half) : pwrite(file, bytes, half, (off_t)arguments[3]);
  }
  if (file >= 0) close(file);
  if (process >= 0) close(process);
  free(bytes);
  return written;
}

static void answer(const struct seccomp_notif *asked, struct seccomp_notif_resp *reply) {
  reply->id = asked->id;
  reply->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  const struct call *call = CALLS;
  while (call->number != asked->data.nr) call++;
  if (!(plan->kinds & call->kind) || !concerns_us(call, asked)) return;
  uint32_t count = ++plan->count;
  if (plan->at == 0 || count < plan->at || (plan->mode == 0 && count != plan->at)) return;
  if (plan->mode == 2) {
    int64_t written = call->kind == WRITE ? write_half(asked) : -1;
    if (written <= 0) return;
    reply->flags = 0;
    reply->val = written;
  } else if (plan->mode == 3) {
    struct timespec pause = {plan->error / 1000, (plan->error % 1000) * 1000000L};
    nanosleep(&pause, NULL);
  } else {
    reply->flags = 0;
    reply->error = -(int)plan->error;
  }
  plan->hits++;
}

static void supervise(int listener) {
  struct seccomp_notif asked;
  struct seccomp_notif_resp reply;
  for (;;) {
    memset(&asked, 0, sizeof asked);
    memset(&reply, 0, sizeof reply);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked)) {
      // The thread that asked is gone, or the whole command.
      if (errno == EINTR || errno == ENOENT) continue;
      return;
    }
    answer(&asked, &reply);
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
  }
}

static pid_t child;

static void ended(int signal) {
  (void)signal;
  int status;
  if (waitpid(child, &status, WNOHANG) == child) _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void forward(int signal) { kill(child, signal); }

int main(int count, char **arguments) {
  if (count < 4) return fprintf(stderr, "usage: inject DIR PLAN COMMAND...\n"), 2;
  below = arguments[1];
  int file = open(arguments[2], O_RDWR | O_CLOEXEC);
  if (file < 0) die(arguments[2]);
  plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (plan == MAP_FAILED) die("mmap");
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets)) die("socketpair");
  pid_t parent = getpid();
  child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(125);
    int listener = filter();
    if (listener < 0) die("seccomp");
    pass_descriptor(sockets[1], listener);
    close(listener);
    execvp(arguments[3], arguments + 3);
    die(arguments[3]);
  }
  close(sockets[1]);
  signal(SIGINT, forward);
  signal(SIGTERM, forward);
  signal(SIGCHLD, ended);
  int listener = take_descriptor(sockets[0]);
  if (listener >= 0) supervise(listener);
  for (;;) {
    ended(SIGCHLD);
    usleep(1000);
  }
}
