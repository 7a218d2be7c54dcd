/** All of them, for one boot and one start of the test runner. */
import './lvm-container.ts'
import './lvm-faults.ts'
import './lvm.ts'
