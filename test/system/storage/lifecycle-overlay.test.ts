import { lifecycle } from './lifecycle.ts'

lifecycle('overlay', { crashRounds: 3 })
