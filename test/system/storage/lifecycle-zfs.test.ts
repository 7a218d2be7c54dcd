import { existsSync } from 'node:fs'
import { which } from '../../../src/platform/exec.ts'
import { lifecycle } from './lifecycle.ts'

lifecycle('zfs', {
  missing:
    (which('zfs-fuse') === undefined && 'needs zfs-fuse') ||
    (existsSync('/sys/module/zfs') && 'the module zfs is loaded: zfs-fuse would not be asked'),
  startless: 'zfs-fuse maps no ids',
  hasDependents: true,
  crashRounds: 3,
})
