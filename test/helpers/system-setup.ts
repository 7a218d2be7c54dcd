/** Runs once before the system tests. */
import { existsSync } from 'node:fs'
import { isRoot, requireOwnNetwork } from './needs.ts'
import { program } from './program.ts'

export default function setup(): void {
  if (!isRoot()) throw new Error("system tests need root: run 'sudo npm test'")
  requireOwnNetwork()
  if (!existsSync(program)) throw new Error("not built: run 'npm run build'")
}
