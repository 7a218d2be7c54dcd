import { lifecycle } from './lifecycle.ts'

lifecycle('btrfs', { crashRounds: 3 })
