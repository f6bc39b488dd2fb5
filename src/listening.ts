// Why it cannot be listened where the settings say, in one sentence that names the setting and one that says what to do.

type PortSetting = 'LATCHKEY_PORT' | 'LATCHKEY_MANAGEMENT_PORT'

const anotherHost = 'Set LATCHKEY_HOST to an address of this machine, or to 0.0.0.0 for all of them.'
const remedies: Readonly<Record<string, (setting: PortSetting) => string>> = {
  EADDRINUSE: (setting) => `End the program that has the port, or set ${setting} to another.`,
  EACCES: (setting) => `Set ${setting} to a port from 1024 on, or allow this user the lower ones.`,
  EADDRNOTAVAIL: () => anotherHost,
  ENOTFOUND: () => anotherHost,
  EAI_AGAIN: () => anotherHost,
}

/** @param listen at the port that the setting names @throws Error that says what to change */
export async function listening<T>(setting: PortSetting, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen()
  } catch (error) {
    const { message, code = '' } = error as NodeJS.ErrnoException
    const remedy = remedies[code]?.(setting) ?? `Set LATCHKEY_HOST and ${setting} to what can be.`
    throw new Error(`${setting} cannot be listened on: ${message}. ${remedy}`, { cause: error })
  }
}
