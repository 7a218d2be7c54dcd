/** Shows steps: one line that is redrawn on a terminal, plain lines elsewhere. */
import type { OnStep, Step } from '../lib/progress.ts'

export interface Progress {
  readonly onStep: OnStep
  /** Takes the redrawn line away, so that other output starts in an empty one. */
  clear(): void
}

export interface ProgressOutput {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const FRAMES = ['-', '\\', '|', '/']
const REDRAW_MS = 100

export function makeProgress(output: ProgressOutput, quiet: boolean): Progress {
  if (quiet) return { onStep: () => undefined, clear: () => undefined }
  return output.isTTY ? terminalProgress(output) : plainProgress(output)
}

/** A line a step; the growing count of one step is not repeated. */
function plainProgress(output: ProgressOutput): Progress {
  let last = ''
  return {
    onStep(step) {
      if (step.text === last) return
      last = step.text
      output.write(`${step.text}\n`)
    },
    clear: () => undefined,
  }
}

function terminalProgress(output: ProgressOutput): Progress {
  let current: Step | undefined
  let timer: NodeJS.Timeout | undefined
  let since = Date.now()
  const draw = (): void => {
    if (current === undefined) return
    const seconds = Math.round((Date.now() - since) / 1000)
    const frame = FRAMES[Math.floor(Date.now() / REDRAW_MS) % FRAMES.length]
    const line = `${frame} ${current.text}${amount(current)}${pace(current, (Date.now() - since) / 1000)}${seconds > 1 ? ` (${seconds} s)` : ''}`
    output.write(`\r\x1b[K${line.slice(0, (output.columns ?? 80) - 1)}`)
  }
  return {
    onStep(step) {
      if (step.text !== current?.text) since = Date.now()
      current = step
      // Unreferenced: a finished command must not wait for its own spinner.
      timer ??= setInterval(draw, REDRAW_MS).unref()
      draw()
    },
    clear() {
      clearInterval(timer)
      timer = undefined
      if (current !== undefined) output.write('\r\x1b[K')
      current = undefined
    },
  }
}

/** Rate, and how long the rest takes at it. */
function pace({ done, total, unit }: Step, seconds: number): string {
  if (unit !== 'bytes' || done === undefined || done === 0 || seconds < 1) return ''
  const rate = done / seconds
  const left = total === undefined || total <= done ? '' : `, ${Math.ceil((total - done) / rate)} s left`
  return `, ${(rate / 1048576).toFixed(1)} MiB/s${left}`
}

function amount(step: Step): string {
  if (step.done === undefined) return ''
  const show = (value: number): string => (step.unit === 'bytes' ? `${(value / 1048576).toFixed(1)} MiB` : String(value))
  if (!step.total) return ` ${show(step.done)}`
  const width = 20
  const filled = Math.min(width, Math.round((step.done / step.total) * width))
  return ` [${'#'.repeat(filled)}${'.'.repeat(width - filled)}] ${show(step.done)} of ${show(step.total)}`
}
