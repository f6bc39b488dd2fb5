// In GitHub Actions a secret is hidden in the job's log from the moment the runner is told of it. It is told on stderr, which
// it reads as well as stdout, so that `TOKEN=$(latchkey ci exchange --quiet)` gets the secret and nothing else.
import { shell } from '../shell.ts'

/** Before anything is printed that may hold the secret. Elsewhere it does nothing. */
export function mask(secret: string): void {
  if (shell.githubActions) process.stderr.write(`::add-mask::${secret}\n`)
}
