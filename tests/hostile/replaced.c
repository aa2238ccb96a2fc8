/* A program that says it has run, smaller than a page: to be put in the place of another one. */
#include <asm/unistd.h>

void _start(void)
{
    static const char text[] = "replaced\n";
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(__NR_write), "D"(1L), "S"(text), "d"(sizeof text - 1) : "rcx", "r11", "memory");
    __asm__ volatile("syscall" : "=a"(result) : "a"(__NR_exit), "D"(0L) : "rcx", "r11");
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = __NR_write, x0 __asm__("x0") = 1, x1 __asm__("x1") = (long)text, x2 __asm__("x2") = sizeof text - 1;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    x8 = __NR_exit, x0 = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8));
#endif
}
