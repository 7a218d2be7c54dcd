import { lifecycle } from './lifecycle.ts'

lifecycle('loop', { clones: false, crashRounds: 3 })
