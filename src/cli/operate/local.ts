// What serve, migrate, bootstrap and doctor have in common: they are Latchkey rather than use it, and read its settings. Theirs is
// all that needs the database; it is loaded when they run, so that other commands start without it.
import { Command } from 'commander'
import { usage } from '../failure.ts'

export const local = (name: string, description: string): Command =>
  new Command(name)
    .description(description)
    .addHelpText('after', '\nSettings are environment variables: docs/operate/settings.md')

/** @throws Failure that lists all that is wrong */
export async function readSettings() {
  const { ConfigError, readConfig } = await import('../../config.ts')
  try {
    return readConfig()
  } catch (error) {
    if (error instanceof ConfigError)
      throw usage(`${error.problems.join('; ')}.`, 'See docs/operate/settings.md.')
    throw error
  }
}
