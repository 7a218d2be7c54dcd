import { lifecycle } from './lifecycle.ts'

lifecycle('dir', { crashRounds: 3 })
