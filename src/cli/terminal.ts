/** Where text leaves the program. Tests put their own functions here. */
import { writeSync } from 'node:fs'

export const terminal = {
  /** Synchronous: process.stdout would make Node load its streams, which costs 2 ms. */
  out(text: string): void {
    const bytes = Buffer.from(text)
    let at = 0
    try {
      while (at < bytes.length) at += writeSync(1, bytes, at)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // A pipe that does not block and is full: the stream waits for it. A reader that went (`| head`) is no failure.
      if (code === 'EAGAIN') process.stdout.write(bytes.subarray(at))
      else if (code !== 'EPIPE') throw error
    }
  },

  err(text: string): void {
    process.stderr.write(text)
  },
}
