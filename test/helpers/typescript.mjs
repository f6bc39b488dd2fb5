// Has tests, and the threads that what they test begins, run TypeScript as it is written: by esbuild, with a cache. tap's own
// way compiles all of src for each test file anew, which took longer than most of them: `tap build` takes it out, as the list of
// plugins in package.json says, and without it that list is not heeded.
import { register } from 'tsx/esm/api'

register()
