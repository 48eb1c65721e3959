"""The recorder: follows the journals into PostgreSQL, nothing lost, nothing doubled."""
