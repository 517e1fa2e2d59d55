# For node-gyp, prebuildify and electron-rebuild. CMakeLists.txt is the one truth of the build; this
# only calls it. The output is never there, so that the action always runs and CMake decides.
{
  "targets": [
    {
      "target_name": "nodeplane",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": [],
          "outputs": ["build/cmake/always"],
          "action": ["node", "scripts/gyp-build.mjs"],
        }
      ]
    }
  ]
}
