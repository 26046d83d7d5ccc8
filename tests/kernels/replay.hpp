// Run launches that were written to a file: a program of its own, for the compiler's sanitizers.
//
// Every array gets memory of exactly its size, so that one step beyond its end is noticed.

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>

bool start(const std::string& kernel, unsigned int blocks, unsigned int threads, void** arguments);

static uint64_t number(std::istream& from) {
    uint64_t value = 0;
    from.read(reinterpret_cast<char*>(&value), sizeof value);
    return value;
}

int main(int, char** words) {
    std::ifstream from(words[1], std::ios::binary);
    for (uint64_t launches = number(from); launches > 0; launches--) {
        std::string kernel(number(from), ' ');
        from.read(kernel.data(), kernel.size());
        const unsigned int blocks = number(from), threads = number(from);
        std::vector<void*> arrays, arguments;
        const uint64_t count = number(from);
        arrays.reserve(count);  // pointers into it must stay valid
        for (uint64_t i = 0; i < count; i++) {
            const bool is_array = number(from);
            const uint64_t size = number(from);
            char* memory = static_cast<char*>(std::malloc(size));
            from.read(memory, size);
            arrays.push_back(memory);
            arguments.push_back(is_array ? static_cast<void*>(&arrays[i]) : memory);
        }
        if (!from || !start(kernel, blocks, threads, arguments.data())) {
            return 3;
        }
        for (void* memory : arrays) {
            std::free(memory);
        }
    }
    return 0;
}
