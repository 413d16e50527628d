BUG
WARNING
Oops
lockdep
KASAN
UBSAN
general protection
hung_task
blocked for more than
refcount_t
use-after-free
kernel NULL
Call Trace
soft lockup
rcu.*stall
list_(add|del) corruption
memory corruption
leaked
DMA-API
Kernel panic
