// What a check of `latchkey doctor` finds. `fail`: Latchkey does not start or serve like this, or should not. `warn`: it
// does, and an operator should know.

export type Check = {
  readonly name: string
  readonly status: 'ok' | 'warn' | 'fail'
  /** What was found: a sentence, no secret in it. */
  readonly message: string
  /** null: nothing. */
  readonly whatToDo: string | null
}

export const ok = (name: string, message: string): Check => ({ name, status: 'ok', message, whatToDo: null })

export const warn = (name: string, message: string, whatToDo: string): Check => ({
  name,
  status: 'warn',
  message,
  whatToDo,
})

/** @param whatToDo null: the message says it */
export const fail = (name: string, message: string, whatToDo: string | null = null): Check => ({
  name,
  status: 'fail',
  message,
  whatToDo,
})

/** As a sentence. Some errors of Node's have a code only. */
export function reasonOf(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string }
  return (message || code || 'No reason is given').replace(/\.?\s*$/, '.')
}

/** What cannot be looked at is a finding, too, and the rest is looked at all the same. */
export async function attempt(name: string, look: () => Promise<Check>): Promise<Check> {
  try {
    return await look()
  } catch (error) {
    return fail(name, reasonOf(error))
  }
}
